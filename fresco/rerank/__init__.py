"""Re-rankers, one file a family."""
