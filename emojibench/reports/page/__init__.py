"""The leaderboard as a folder of files that a browser opens from disk: tables, clips, and a player."""
