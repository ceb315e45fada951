"""Training search agents without gold answers."""
