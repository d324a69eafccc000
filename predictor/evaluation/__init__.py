"""How good the predictor is: protocols, metrics, baselines, ablations."""
