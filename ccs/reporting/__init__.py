"""Rollouts, rewards, audits and training runs as one page to look at."""
