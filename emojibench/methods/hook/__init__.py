"""What runs inside other people's programs: a folder on their PYTHONPATH, not part of the harness.

Their Python may be an old one: nothing here needs more than Python 3.6, and numpy only where they have it.
"""
