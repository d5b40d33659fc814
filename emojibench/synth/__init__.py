"""The embedded dataset: procedural portraits and motions with exact ground truth."""
