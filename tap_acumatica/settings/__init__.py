"""The settings: their schema, where they come from, and the checks that they must pass."""
