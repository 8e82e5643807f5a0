"""A tour of the tap: Meltano copies a sandbox company to files, twice."""
