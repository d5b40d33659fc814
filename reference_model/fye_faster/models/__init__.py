"""Presets: sizes, how each is put together, and weights on disk."""
