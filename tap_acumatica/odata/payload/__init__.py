"""Decodes response bodies, JSON or Atom, into pages of rows."""
