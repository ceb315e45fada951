"""Rollouts: one, many at a time, and the file they are kept in."""
