"""The base model, LoRA training and scoring."""
