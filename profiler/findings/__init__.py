"""What is wrong with a dataset, row by row: duplicates, leaks, contradictions, damage, private data."""
