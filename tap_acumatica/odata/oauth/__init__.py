"""OAuth 2.0: accounts, their tokens, the token file, and the server that issues tokens."""
