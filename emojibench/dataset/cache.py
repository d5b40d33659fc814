"""Where made files are kept, and the detector that making them shares."""

import atexit
import os
from functools import lru_cache
from pathlib import Path

from platformdirs import user_cache_path

from emojibench.face import Detector, open_detector

VARIABLE = "EMOJIBENCH_CACHE"


def cache_folder() -> Path:
    """`datasets` in EMOJIBENCH_CACHE, or else in the platform's cache folder for emojibench."""
    root = os.environ.get(VARIABLE) or user_cache_path("emojibench")
    return Path(root).expanduser() / "datasets"


@lru_cache(maxsize=2)
def shared_detector(identity: str) -> Detector:
    """One open detector per process and id: loading the models takes longer than a clip's landmarks."""
    detector = open_detector(identity)
    atexit.register(detector.close)  # left to the destructor, some versions of MediaPipe complain
    return detector
