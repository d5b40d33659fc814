"""Training of a preset."""
