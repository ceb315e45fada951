"""Measure trajectories against gold answers and gold passages."""
