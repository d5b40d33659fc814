"""The search for the cache presets that the reference model ships with, on training clips that no split contains."""
