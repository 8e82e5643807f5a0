"""The check of whether a sync would work."""
