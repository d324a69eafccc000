"""Syntax by spaCy, and the fast path that gives the same annotations."""
