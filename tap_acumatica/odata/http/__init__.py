"""Requests: connections, retries, limits, and what an answer means."""
