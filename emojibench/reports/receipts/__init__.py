"""Receipts of leaderboard rows: digests of all that a row's numbers come from, and how they are checked."""
