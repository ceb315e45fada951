"""Does a reward measure what it should? Asked of recorded trajectories, before any training."""
