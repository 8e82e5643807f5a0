"""One run of the tap: its settings, connections and readers, and what it could not read."""
