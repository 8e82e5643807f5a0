"""Measures the tap against a floor, against an untuned tap, and against other readers."""
