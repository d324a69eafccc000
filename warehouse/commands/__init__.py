"""The commands of the warehouse: what is profiled, queries, and matrices of results."""
