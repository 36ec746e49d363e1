"""A fictional world from a seed: a knowledge base, documents written from it, and questions with proofs."""
