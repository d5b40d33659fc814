"""Acceleration: the Taylor-interpolated cache, its kin, and published rivals."""
