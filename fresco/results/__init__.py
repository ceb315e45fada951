"""The folder of a run: its record, runs and qrels in TREC format, per-query values, metrics and plots."""
