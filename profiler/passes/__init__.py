"""The two passes over a dataset: all rows, and the parsed sample."""
