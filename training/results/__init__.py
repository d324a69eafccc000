"""Shards of measured cells, and the tables made of them."""
