"""Whole networks: what layers cost together, with all that lies between them."""
