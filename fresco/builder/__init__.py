"""Make a benchmark: facts -> revisions -> aligned facts -> queries and pools."""
