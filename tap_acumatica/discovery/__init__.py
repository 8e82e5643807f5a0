"""Makes catalog entries from `$metadata`."""
