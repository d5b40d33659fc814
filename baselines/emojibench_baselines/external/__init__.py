"""Other people's methods: one YAML description each, see `description.py`."""
