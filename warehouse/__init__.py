"""One DuckDB file with profiles, matrices and predictors."""
