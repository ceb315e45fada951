"""Clients of services: language models, JSON over HTTP, a cache of answers."""
