"""Reads one entity of one tenant; knows neither the SDK nor Singer messages."""
