"""The sign-in of a person, in a browser."""
