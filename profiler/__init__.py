"""A dataset in, its traits out."""
