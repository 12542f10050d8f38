"""What each user supplies for a server: kept sealed, and joined with what the stack declares."""
