"""The same profile, measured on a Ray cluster."""
