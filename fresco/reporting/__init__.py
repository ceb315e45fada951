"""Runs of `fresco score` as one page to look at."""
