"""From the texts of a user to checked settings."""
