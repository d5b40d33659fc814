"""What `emojibench accel` does: a matrix of accelerators over the same clips, as tables and figures."""
