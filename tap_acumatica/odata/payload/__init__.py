"""Response bodies as pages of rows, in JSON and Atom."""
