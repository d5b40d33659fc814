"""Where a person is in a picture, hair and hat included: MediaPipe's selfie segmentation, which its wheel carries."""

import atexit
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.face.detect import quiet
from emojibench.types import Image


def person_mask(image: Image) -> NDArray[np.bool_]:
    """(H, W) True where a person is; drawn people and animals are mostly seen, too."""
    with quiet():  # the model complains once, on its first picture
        return np.asarray(_segmenter().process(np.ascontiguousarray(image)).segmentation_mask > 0.5)


@cache
def _segmenter() -> Any:
    from mediapipe.python.solutions.selfie_segmentation import SelfieSegmentation

    segmenter = SelfieSegmentation(model_selection=0)
    atexit.register(segmenter.close)
    return segmenter
