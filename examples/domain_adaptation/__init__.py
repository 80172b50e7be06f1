"""A classifier trained on simulated events, taken to a detector that answers differently and has no labels."""
