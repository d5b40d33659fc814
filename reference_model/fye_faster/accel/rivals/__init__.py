"""What the rivals of TIC do to the sampling of the reference model. Loaded only when one of them runs."""
