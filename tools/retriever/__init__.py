"""Retrievers: from a query to the positions of the documents that fit it best."""

from agentgym.tools.retriever.base import Hits, Retriever
from agentgym.tools.retriever.bm25 import BM25

__all__ = ["BM25", "Hits", "Retriever"]
