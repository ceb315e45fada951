"""Running re-rankers over pools: the batching fast path, the runner and the score store."""
