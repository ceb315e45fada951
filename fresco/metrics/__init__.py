"""Measures of a ranking: relevance, staleness, bias, and what can be told apart."""
