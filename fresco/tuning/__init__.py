"""``fresco tune``: fit the cures of a stale re-ranker, and set them side by side on data that chose nothing."""
