"""The built-in dataset: procedural portraits and motions with exact ground truth."""
