"""What every model backend shares: loading, tokens, batches, settings."""
