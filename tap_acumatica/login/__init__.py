"""A person signs in."""
