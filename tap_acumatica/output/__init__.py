"""Rows as Singer messages."""
