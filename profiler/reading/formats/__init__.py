"""The file formats: bytes on disk into rows of columns."""
