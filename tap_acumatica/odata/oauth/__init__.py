"""Sign-in by OAuth 2.0: tokens, where they are kept, and the server that grants them."""
