"""What a catalog entry says: written by discovery, read by a run. Pure."""
