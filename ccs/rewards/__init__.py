"""Rewards for search agents: gold-free ones from the trajectory alone, and the baselines they are compared with."""
