"""Runs as one page to look at."""
