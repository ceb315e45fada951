"""``fresco answer``: what a stale re-ranker costs in the end, when a reader answers from its passages."""
