"""A question, the protocol an agent speaks, its environment and the trajectory it leaves."""
