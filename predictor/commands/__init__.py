"""The commands of the predictor."""
