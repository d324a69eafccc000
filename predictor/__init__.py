"""Predicts transfer from traits, and says how good that is."""
