"""What tests share: runs of the tap, simulated tables, documents of the server."""
