"""Files, folders and hub repositories into rows."""
