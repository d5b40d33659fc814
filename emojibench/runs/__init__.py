"""Runs: one method over one split under one protocol, as a folder that survives being killed."""
