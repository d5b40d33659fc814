"""Noise schedule, solvers, and sampling of clips longer than a window."""
