"""Which column is what: the prompt, the response, the label, the options."""
