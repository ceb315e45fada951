"""Search re-ranker instructions on the Pareto front of evolving and static knowledge (``fresco optimize``)."""
