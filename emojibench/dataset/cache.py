"""Where made files are kept, and the detector that making them shares."""

import atexit
from functools import lru_cache
from pathlib import Path

from emojibench.face import Detector, open_detector
from emojibench.files import cache


def cache_folder() -> Path:
    """Where made datasets are kept: `datasets` in the cache."""
    return cache.cache_folder("datasets")


@lru_cache(maxsize=2)
def shared_detector(identity: str) -> Detector:
    """One open detector per process and id: loading the models takes longer than a clip's landmarks."""
    detector = open_detector(identity)
    atexit.register(detector.close)  # left to the destructor, some versions of MediaPipe complain
    return detector
