"""Files, folders and formats: atomic writes, locks, JSON Lines, YAML, provenance, hub, registry."""
