"""The DuckDB file: schema, profiles, matrices, results, queries."""
