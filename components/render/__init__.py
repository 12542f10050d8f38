"""Pure: the plan becomes what a target is asked for. Spelling only, no decision."""
