"""Figures for a paper from finished runs: one module a kind, one for how all of them look."""
