"""Files that hold data and text: read with suspicion, written whole or not at all."""
