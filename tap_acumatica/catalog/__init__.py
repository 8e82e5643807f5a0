"""Catalog entries, which discovery writes and a run reads. Pure."""
