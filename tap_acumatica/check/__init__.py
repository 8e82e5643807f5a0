"""Whether a sync would work."""
