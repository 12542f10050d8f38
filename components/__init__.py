"""What a stack and its catalog come to: config and catalog entries, the plan, its rendering, and the resources."""
