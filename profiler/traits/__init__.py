"""The trait catalogue, and one module per family of traits."""
