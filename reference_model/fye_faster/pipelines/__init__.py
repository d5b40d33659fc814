"""From a portrait and landmarks to frames."""
