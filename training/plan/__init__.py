"""What is measured: recipe, prompts, rows."""
