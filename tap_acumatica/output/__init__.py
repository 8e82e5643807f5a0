"""Writes rows as Singer messages."""
