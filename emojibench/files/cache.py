"""Where everything that can be made or fetched again is kept: one folder, a part of it for each purpose."""

import os
from pathlib import Path

from platformdirs import user_cache_path

VARIABLE = "EMOJIBENCH_CACHE"


def cache_folder(part: str) -> Path:
    """`part` in EMOJIBENCH_CACHE, or else in the platform's cache folder for emojibench; not made yet."""
    root = os.environ.get(VARIABLE) or user_cache_path("emojibench")
    return Path(root).expanduser() / part
