"""A neutral face of 478 points: fitted to a handful of points that somebody marked, and held against landmarks.

`template.npz` is the median of what the bundled detector reads off 60 procedural heads (`emojibench.synth`), turned to
the camera and made symmetric. Its unit is the distance of the outer eye corners, its origin their middle.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emojibench.face.points import (
    CHIN,
    FOREHEAD,
    INNER_LIP_MIDDLES,
    LEFT_EYE,
    MOUTH_CORNERS,
    NOSE_TIP,
    OUTER_LIPS,
    OVAL,
    RIGHT_EYE,
    RIGHT_IRIS,
)
from emojibench.types import Landmarks

Array = NDArray[np.float64]

NEEDED: Mapping[str, tuple[int, ...]] = {
    "right-eye": RIGHT_EYE,
    "left-eye": LEFT_EYE,
    "nose": (NOSE_TIP,),
    "mouth": INNER_LIP_MIDDLES,
}
"""Points that a fit needs: a name, and the points whose mean it is. Right is the person's own."""
NAMED: Mapping[str, tuple[int, ...]] = {
    **NEEDED,
    "right-mouth": MOUTH_CORNERS[:1],
    "left-mouth": MOUTH_CORNERS[1:],
    "chin": (CHIN,),
    "forehead": (FOREHEAD,),
}
"""All points that a fit can use: also the corners of the mouth, the lowest of the chin, the top of the forehead."""
_FRONTAL = 0.3
"""How much a turn of the head by one radian weighs against a misfit of one eye distance."""
_MISFIT = 0.3
"""Share of the spread of a face's points that no view of the template explains: faces reach 0.15, fitted cats 0.25."""
_FOLDED = 0.15
"""Share of the face, by area in that view, that is turned over: faces reach 0.03, fitted cats 0.06."""
_CLOSE = 0.1
"""Distance of the eyes in space over the face's longer side; in faces 0.3 and more."""
_FLAT = 0.02
"""Narrower side of the template's view, as a share of the longer one: a face seen at 88 degrees has 0.035."""
_INVERTED = -0.02
"""Area of an eye, the lips or the outline over the square of its perimeter; a closed eye may have -0.01."""


_RINGS: Mapping[str, tuple[int, ...]] = {
    "right eye": RIGHT_EYE,
    "left eye": LEFT_EYE,
    "lips": OUTER_LIPS,
    "outline": OVAL,
    "eyes and mouth": (RIGHT_EYE[0], LEFT_EYE[0], INNER_LIP_MIDDLES[1]),
}


@cache
def template() -> Array:
    """(478, 3): x to the person's left, y down, z away from the camera."""
    with np.load(Path(__file__).with_name("template.npz"), allow_pickle=False) as file:
        return np.asarray(file["points"], np.float64)


def fit(marked: Mapping[str, tuple[float, float]], size: tuple[int, int]) -> Landmarks:
    """Landmarks (478, 3) of the template, turned and bent so that its named points lie where they were marked.

    The view of the template that comes nearest is found first (head turns included), and bent by a thin-plate
    spline then.

    Args:
        marked: names of `NAMED`, those of `NEEDED` among them, and pixels (x, y).
        size: (width, height) of the picture, pixels.

    Raises:
        ValueError: the points give no face; says why.
    """
    from scipy.interpolate import RBFInterpolator

    goal = np.array(list(marked.values()), np.float64)
    right, left, mouth = (np.array(marked[name]) for name in ("right-eye", "left-eye", "mouth"))
    across, down = left - right, mouth - right
    if across[0] * down[1] - across[1] * down[0] <= 0:
        raise ValueError("flipped; right is the person's own: on the left where a face looks at you")
    seen = _view(marked, goal)
    named = np.array([seen[list(NAMED[name]), :2].mean(axis=0) for name in marked])
    try:
        bend = RBFInterpolator(named, goal, kernel="thin_plate_spline", degree=1)
        seen[:, :2] = bend(seen[:, :2])
    except np.linalg.LinAlgError:
        raise ValueError("the points lie on one line") from None
    landmarks = np.asarray(seen / (size[0], size[1], size[0]), np.float32)
    if flaw := flaw_of(landmarks):
        raise ValueError(flaw)
    return landmarks


def flaw_of(landmarks: Landmarks) -> str:
    """Why landmarks (478, 3), normalised to their picture, are those of no face; empty if they may be.

    Expressions, head turns, animals and caricatures pass.
    """
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    inside = ((landmarks[:, :2] >= 0) & (landmarks[:, :2] <= 1)).all(axis=1).mean()
    if inside < 0.5:
        return f"outside the picture: {inside:.0%} of the points lie inside, from {low.round(2)} to {high.round(2)}"
    vertices = slice(RIGHT_IRIS[0])
    model = np.c_[template()[vertices], np.ones(RIGHT_IRIS[0])]
    points = landmarks[vertices, :2].astype(np.float64)
    view = np.linalg.lstsq(model, points, rcond=None)[0]
    spread = np.linalg.norm(points - points.mean(axis=0))
    if not spread:
        return "all points lie in one place"
    longer, narrower = np.linalg.svd(view[:3], compute_uv=False)
    if narrower < _FLAT * longer:
        return "all points lie on one line"
    misfit = np.linalg.norm(points - model @ view) / spread
    if misfit > _MISFIT:
        return f"folded or out of order: {misfit:.0%} off the shape of a face, expected at most {_MISFIT:.0%}"
    if np.linalg.norm(landmarks[RIGHT_EYE[0]] - landmarks[LEFT_EYE[0]]) < _CLOSE * (high - low).max():
        return "folded: both eyes lie in one place"
    if np.linalg.det(view[:2]) < 0:
        return "flipped: right and left, or top and bottom, are exchanged; right is the person's own"
    expected = _triangles(model @ view)
    over = np.abs(expected)[_triangles(points) * expected < 0].sum() / np.abs(expected).sum()
    if over > _FOLDED:
        return f"folded: {over:.0%} of the face are turned over, expected at most {_FOLDED:.0%}"
    for name, ring in _RINGS.items():
        if _area(points[list(ring)]) * np.sign(_area(template()[list(ring)])) < _INVERTED:
            return f"folded: the points of the {name} run the wrong way round"
    return ""


def _view(marked: Mapping[str, tuple[float, float]], goal: Array) -> Array:
    """(478, 3) pixels: the template under the turn, scale and shift that come nearest to the marked points."""
    from scipy.optimize import least_squares
    from scipy.spatial.transform import Rotation

    named = np.array([template()[list(NAMED[name])].mean(axis=0) for name in marked])
    right, left = (np.array(marked[name]) for name in ("right-eye", "left-eye"))
    unit = np.linalg.norm(left - right)

    def placed(points: Array, pose: Array) -> Array:
        roll, yaw, pitch, scale, x, y = pose
        turned = Rotation.from_euler("zyx", (roll, yaw, pitch)).apply(points)
        return np.asarray(turned * scale * unit + (x, y, 0))

    def misfit(pose: Array) -> Array:
        apart = (placed(named, pose)[:, :2] - goal) / unit
        return np.concatenate([apart.ravel(), _FRONTAL * pose[1:3]])

    roll = np.arctan2(*(left - right)[::-1])
    pose = least_squares(misfit, (roll, 0, 0, 1.4, *((left + right) / 2)), x_scale=(1, 1, 1, 1, unit, unit)).x
    return placed(template(), pose)


@cache
def _corners() -> NDArray[np.int32]:
    """(M, 3) triangles that cover the template, seen from the front."""
    from scipy.spatial import Delaunay

    return np.asarray(Delaunay(template()[: RIGHT_IRIS[0], :2]).simplices)


def _triangles(points: Array) -> Array:
    """Signed areas (M,) of the triangles of `_corners`."""
    one, two, three = (points[_corners()[:, k]] for k in range(3))
    a, b = two - one, three - one
    return np.asarray((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2)


def _area(ring: Array) -> float:
    """Signed area of a polygon (N, 2 or more) over the square of its perimeter."""
    x, y = ring[:, 0], ring[:, 1]
    after = np.roll(ring[:, :2], -1, axis=0)
    perimeter = np.linalg.norm(after - ring[:, :2], axis=1).sum()
    return float((x * after[:, 1] - y * after[:, 0]).sum() / 2 / max(perimeter**2, 1e-12))
