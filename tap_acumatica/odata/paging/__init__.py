"""Pagers decide on the next request, and when a read is complete. Pure: no network, no clock."""
