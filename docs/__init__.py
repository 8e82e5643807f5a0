"""The pages of the documentation, and the generator of those that follow from the code."""
