"""One run: what the settings lead to, what is read, and what failed."""
