"""What a run shows: plots."""
