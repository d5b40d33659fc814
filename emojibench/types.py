"""Arrays that everything hands on: aliases that say shape, type and range."""

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
"""RGB video, uint8, (T, H, W, 3)."""

Image = NDArray[np.uint8]
"""RGB picture, uint8, (H, W, 3)."""

Sound = NDArray[np.int16]
"""Mono sound, (n,), at `emojibench.media.sound.RATE`."""

Landmarks = NDArray[np.float32]
"""MediaPipe face points, float32, (478, 3) or (T, 478, 3).

x and y are fractions of the width and height (top-left origin, may leave [0, 1] when the face does);
z is in units of x, negative towards the camera. A frame without a face is all NaN.
"""
