"""What agents search with: an index on disk, a server that shares it, and a client of any such server."""

from ccs.retrieve.open import open_retriever

__all__ = ["open_retriever"]
