"""The pagers: which request comes next, and when a read is complete. Pure: no network, no clock."""
