"""Face geometry of MediaPipe: from plain landmarks and a head transform to a face in centimetres, and back.

MediaPipe looks at every picture through one virtual camera: at the origin, looking along -z, y up, vertical field
of view 63 degrees. Its pipeline scales the landmarks so that they fit a canonical face model, and reports the rigid
transform from that model's frame to the camera. The face itself, which it works out on the way, is not reported;
this module works it out again.
"""

import math

import numpy as np
from numpy.typing import NDArray

from emojibench.face.points import VERTICES

Array = NDArray[np.float64]

HALF_HEIGHT = math.tan(math.radians(63 / 2))
"""Of the camera's picture at depth 1."""

# Where MediaPipe (Apache-2.0, geometry_pipeline_metadata_landmarks) fits its canonical face model, how much each
# point counts there, and the weighted mean of the model's own points, in cm.
_BASIS = {
    4: 0.0709099397, 6: 0.0321001448, 10: 0.0084465509, 33: 0.0587241687, 54: 0.0076670800, 67: 0.0090780593,
    117: 0.0097919377, 119: 0.0145653682, 121: 0.0185913611, 127: 0.0051979944, 129: 0.1206252053,
    132: 0.0055600186, 133: 0.0532861836, 136: 0.0668904558, 143: 0.0148165477, 147: 0.0142628336,
    198: 0.0254621916, 205: 0.0472522788, 263: 0.0587241687, 284: 0.0076670800, 297: 0.0090780593,
    346: 0.0097919377, 348: 0.0145653682, 350: 0.0185913611, 356: 0.0051979944, 358: 0.1206252053,
    361: 0.0055600186, 362: 0.0532861836, 365: 0.0668904558, 372: 0.0148165477, 376: 0.0142628336,
    420: 0.0254621916, 425: 0.0472522788,
}  # fmt: skip
BASIS = np.array(list(_BASIS))
WEIGHTS = np.array(list(_BASIS.values())) / sum(_BASIS.values())
CENTRE = np.array((0.0, -0.26252034, 3.74073924))

_MISFIT = 0.01
"""Relative error of the fit beyond which transform and landmarks cannot belong together; rightly it is 1e-7."""


def canonical_faces(landmarks: Array, transforms: Array, size: tuple[int, int]) -> Array:
    """Faces in the canonical frame: head pose undone, own shape and expression kept.

    Landmarks give the face as the camera sees it up to its size. MediaPipe's fit is a least-squares one, so the
    weighted mean of the face is the transformed mean of the model: that gives the size.

    Args:
        landmarks: (T, 478, 3) or (T, 468, 3), x and y as fractions of width and height, z in units of x.
        transforms: (T, 4, 4) rigid, canonical frame to camera, cm.
        size: (width, height) of the frames, pixels.

    Returns:
        (T, 468, 3) cm.

    Raises:
        ValueError: a transform does not belong to its landmarks. The message gives the frame.
    """
    half_width = HALF_HEIGHT * size[0] / size[1]
    x, y, z = np.moveaxis(landmarks[:, :VERTICES], 2, 0)
    depth = 1 + 2 * half_width * (z - z.mean(1, keepdims=True))
    seen = np.stack([(2 * x - 1) * half_width * depth, (1 - 2 * y) * HALF_HEIGHT * depth, -depth], 2)
    rotations, translations = transforms[:, :3, :3], transforms[:, :3, 3]
    centre = np.einsum("n,tnc->tc", WEIGHTS, seen[:, BASIS])
    wanted = rotations @ CENTRE + translations
    scale = (centre * wanted).sum(1) / (centre**2).sum(1)
    misfit = np.linalg.norm(centre * scale[:, None] - wanted, axis=1) / np.linalg.norm(wanted, axis=1)
    wrong = ~((misfit < _MISFIT) & (scale > 0))
    if wrong.any():
        raise ValueError(
            f"transform {int(np.argmax(wrong))} does not belong to its landmarks; expected MediaPipe's (4, 4) "
            "facial transformation matrix, detected on the same frame"
        )
    turned = scale[:, None, None] * seen - translations[:, None]
    return np.asarray(turned @ np.linalg.inv(rotations).transpose(0, 2, 1))


def project(points: Array, size: tuple[int, int]) -> Array:
    """What the camera sees of (T, N, 3) points in its frame, cm.

    Args:
        points: in front of the camera: z below 0.
        size: (width, height) of the picture, pixels.

    Returns:
        (T, N, 3): x and y as fractions of width and height, z in units of x and 0 on average.
    """
    half_width = HALF_HEIGHT * size[0] / size[1]
    depth = -points[..., 2]
    relative = depth / depth.mean(1, keepdims=True) - 1
    x = points[..., 0] / depth / half_width
    y = points[..., 1] / depth / HALF_HEIGHT
    return np.stack([(1 + x) / 2, (1 - y) / 2, relative / (2 * half_width)], 2)
