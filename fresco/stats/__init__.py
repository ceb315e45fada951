"""Statistics that both packages use: intervals, significance, words, array types."""
