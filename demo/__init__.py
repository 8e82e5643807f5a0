"""A tour of the tap: a sandbox company copied to files by Meltano, twice."""
