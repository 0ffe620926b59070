"""What is on a node against its one plan: drift, checks, and what is there beside it; pure."""
