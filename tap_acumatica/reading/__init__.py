"""Reads one entity of one tenant. Knows neither the SDK nor Singer messages."""
