"""Servers that the tests run: real ones, and APIs that speak the real wire formats."""
