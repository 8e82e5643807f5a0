"""HTTP: connections, retries, limits, and the classification of responses."""
