"""From `$metadata` to catalog entries."""
