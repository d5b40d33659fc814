"""Published figures and accepted measured runs as package data; `emojibench report` renders them."""
