"""The portrait moved to other landmarks, without learning: a piecewise-affine warp.

A triangle mesh spans the face and its surroundings: the landmarks, and around them a lattice that moves with
the head near the face and stands still far from it. Placed at the portrait's landmarks
the mesh says what each triangle looks like, placed at the target landmarks where it is seen. The mesh never
tears and its rim is fixed, so at every pixel some triangle faces the viewer: those that flipped lie on the
far side of the head and are skipped. Where a mouth opens wider than the portrait shows it, its inside is
painted dark.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emojibench.face.align import fit_pose
from emojibench.face.points import (
    CHIN,
    FOREHEAD,
    INNER_LIP_MIDDLES,
    INNER_LIPS,
    IRIS_RIMS,
    LOWER_LIP_INNER,
    MIRRORED,
    OVAL,
    POINTS,
    STABLE,
    UPPER_LIP_INNER,
)  # fmt: skip

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Landmarks = NDArray[np.floating[Any]]

_CELLS = 12
"""Lattice cells along the longer side of the portrait."""
_MARGIN = 2
"""Cells beyond the picture, so that what moves in from outside is not cut by the rim."""
_REACH = 0.25
"""Distance from the face, in face heights, where the surroundings stay: hair moves, shoulders do not.

Chosen on training sequences by benchmarks/warp_reach.py: L1 is flat from 0.1 to 0.25 and grows beyond.
"""
_USED = np.setdiff1d(np.arange(POINTS), IRIS_RIMS)
"""The rims of the irises would fold the mesh of the eye."""
_LOWER_LIP, _UPPER_LIP = LOWER_LIP_INNER[1:-1], UPPER_LIP_INNER[1:-1]
_DRAWN = 1e-3
"""Doubled area, square pixels, from which a triangle is drawn."""
_BITS = 4
"""Fractional bits of the coordinates that OpenCV rasterises."""


class Warp:
    """A portrait that can be warped to any landmarks.

    Args:
        portrait: (H, W, 3) uint8.
        landmarks: (478, 3) normalised, on the portrait.
    """

    def __init__(self, portrait: Image, landmarks: Landmarks) -> None:
        height, width = portrait.shape[:2]
        self._portrait = portrait
        self._scale = np.array([width, height, width], np.float64)
        self._rows, self._columns = np.mgrid[:height, :width].astype(np.float32)
        own = self._pixels(landmarks)
        self._mesh = _Mesh(own, width, height)
        self._own = self._mesh.place(own)
        self._mouth = _Mouth(portrait, own)

    def __call__(self, target: Landmarks) -> Image:
        """The portrait with its face at `target` (478, 3), normalised and finite; (H, W, 3) uint8."""
        goal = self._pixels(target)
        vertices = self._mesh.place(goal)
        x, y = self._look_up(vertices, self._rasterise(vertices))
        frame = cv2.remap(self._portrait, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return self._mouth.paint(np.asarray(frame, np.uint8), goal)

    def _pixels(self, landmarks: Landmarks) -> Array:
        """Pixel coordinates with whole numbers at pixel centres."""
        return np.asarray(landmarks, np.float64) * self._scale - (0.5, 0.5, 0.0)

    def _rasterise(self, vertices: Array) -> NDArray[np.int32]:
        """(H, W) which triangle is seen at each pixel."""
        corners = vertices[self._mesh.triangles]
        # Far to near; the surroundings stand behind the face wherever they overlap.
        depth = corners[:, :, 2].mean(1) + 1e6 * self._mesh.surrounding
        order = np.argsort(-depth, kind="stable")
        order = order[_areas(corners)[order] > _DRAWN]
        fixed = np.rint(corners[:, :, :2] * (1 << _BITS)).astype(np.int32)
        cover = np.zeros(self._columns.shape, np.int32)
        for index in order.tolist():
            cv2.fillConvexPoly(cover, fixed[index], index, lineType=8, shift=_BITS)
        return cover

    def _look_up(self, vertices: Array, cover: NDArray[np.int32]) -> tuple[NDArray[Any], NDArray[Any]]:
        """(H, W) float32 each: the x and y in the portrait of what is seen at each pixel."""
        corners = vertices[self._mesh.triangles, :2]
        origin, u, v = corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
        area = np.maximum(_areas(corners), _DRAWN)
        seen = self._own[self._mesh.triangles, :2]
        columns = [origin, u, v, 1 / area, seen[:, 0], seen[:, 1] - seen[:, 0], seen[:, 2] - seen[:, 0]]
        table = np.column_stack(columns).astype(np.float32)[cover]
        ox, oy, ux, uy, vx, vy, over_area, sx, sy, ax, ay, bx, by = np.moveaxis(table, 2, 0)
        dx, dy = self._columns - ox, self._rows - oy
        s = np.clip((vy * dx - vx * dy) * over_area, 0, 1)
        t = np.clip((ux * dy - uy * dx) * over_area, 0, 1)
        excess = np.maximum(s + t, 1)
        s, t = s / excess, t / excess
        # A pixel may lie just outside the triangle that covers it. That rest is carried over unscaled, so
        # that slivers do not send it far away.
        x = sx + s * ax + t * bx + (dx - s * ux - t * vx)
        y = sy + s * ay + t * by + (dy - s * uy - t * vy)
        return x, y


class _Mesh:
    """Triangles over the face and its surroundings, laid out on the face seen from the front."""

    triangles: NDArray[np.int64]
    """(F, 3) indices of vertices; a triangle that faces the viewer has a positive area."""
    surrounding: NDArray[np.bool_]
    """(F,) True where a lattice point takes part."""

    def __init__(self, landmarks: Array, width: int, height: int) -> None:
        from scipy.spatial import Delaunay

        self._front = _from_the_front(landmarks)
        face = cv2.convexHull(self._front[_USED, :2].astype(np.float32))
        cell = max(width, height) / _CELLS
        axes = [
            np.linspace(-_MARGIN * cell, size - 1 + _MARGIN * cell, round(size / cell) + 2 * _MARGIN + 1)
            for size in (width, height)
        ]
        lattice = np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)
        distance = np.array([-cv2.pointPolygonTest(face, point, True) for point in lattice.tolist()])
        lattice, distance = lattice[distance > cell / 2], distance[distance > cell / 2]
        fade = np.clip(distance / (_REACH * _height(landmarks)), 0, 1)
        rim = ((lattice == lattice.min(0)) | (lattice == lattice.max(0))).any(1)
        self._follow = np.where(rim, 0, 1 - fade * fade * (3 - 2 * fade))[:, None]
        self._lattice = lattice
        layout = np.concatenate([_layout(self._front)[_USED], lattice])
        self.triangles = Delaunay(layout).simplices.astype(np.int64)
        flipped = _areas(layout[self.triangles]) < 0
        self.triangles[flipped] = self.triangles[flipped, ::-1]
        self.surrounding = (self.triangles >= len(_USED)).any(1)

    def place(self, landmarks: Array) -> Array:
        """The vertices, (V, 3), of a face with these landmarks (478, 3), all in pixels.

        Around the face a head looks much the same from every side: the lattice takes part in its shift, size
        and roll, but is not foreshortened when it turns.
        """
        head = fit_pose(self._front[list(STABLE)], landmarks[None, list(STABLE)])
        (a, b), (c, d) = head.rotation[0, :2, :2]
        roll = np.arctan2(c - b, a + d)
        turn = head.scale[0] * np.array([[np.cos(roll), -np.sin(roll)], [np.sin(roll), np.cos(roll)]])
        middle = self._front[list(OVAL)].mean(0)
        moved = (self._lattice - middle[:2]) @ turn.T + head.apply(middle[None])[0, 0, :2]
        lattice = self._lattice + self._follow * (moved - self._lattice)
        return np.concatenate([landmarks[_USED], np.column_stack([lattice, np.zeros(len(lattice))])])


class _Mouth:
    """What is seen between the lips where the portrait does not show it."""

    def __init__(self, portrait: Image, landmarks: Array) -> None:
        self._open = _opening(landmarks)
        ring = np.rint(landmarks[list(INNER_LIPS), :2]).astype(np.int32)
        mask = np.zeros(portrait.shape[:2], np.uint8)
        cv2.polylines(mask, [ring], isClosed=True, color=(1,), thickness=2)
        lips = portrait[mask > 0] if mask.any() else portrait.reshape(-1, 3)
        self._colour = 0.4 * np.percentile(lips, 20, axis=0)

    def paint(self, frame: Image, landmarks: Array) -> Image:
        """Darken the inside of the mouth by the share of it that the portrait does not show."""
        hidden = 1 - (self._open + 0.01) / max(_opening(landmarks), 1e-6)
        if hidden <= 0:
            return frame
        ring = np.rint(landmarks[list(INNER_LIPS), :2] * (1 << _BITS)).astype(np.int32)
        mask = np.zeros(frame.shape[:2], np.float32)
        cv2.fillPoly(mask, [ring], (hidden,), lineType=cv2.LINE_8, shift=_BITS)
        soft = np.asarray(cv2.GaussianBlur(mask, (0, 0), max(0.006 * _height(landmarks), 0.5)))[..., None]
        return np.asarray(np.rint(frame * (1 - soft) + self._colour * soft), np.uint8)


def _from_the_front(landmarks: Array) -> Array:
    """The face turned so that it looks at the viewer, about its middle."""
    right, left = landmarks[[pair[0] for pair in MIRRORED]], landmarks[[pair[1] for pair in MIRRORED]]
    across = (left - right).sum(0)
    down = landmarks[CHIN] - landmarks[FOREHEAD]
    across /= np.linalg.norm(across)
    down -= (down @ across) * across
    down /= np.linalg.norm(down)
    middle = landmarks[list(OVAL)].mean(0)
    return np.asarray((landmarks - middle) @ np.stack([across, down, np.cross(across, down)]).T + middle)


def _layout(front: Array) -> Array:
    """(478, 2) the face spread flat around its middle with the mouth open, inside the outline it had.

    Seen from the front the sides of the face lie nearly on top of each other, and so do closed lips: the mesh
    between them would be left to chance. The sides are told apart by the angle at which they are seen from
    inside the head, the lips by moving everything below them down.
    """
    outline = list(OVAL)
    middle = front[outline].mean(0)
    x, y, z = (front - middle).T
    radius = np.maximum(np.hypot(x, y), 1e-9)
    spread = np.arctan2(radius, -z)[:, None] * np.column_stack([x, y]) / radius[:, None]
    seam = (spread[list(_LOWER_LIP)] + spread[list(_UPPER_LIP)]) / 2
    below = spread[:, 1] > np.interp(spread[:, 0], seam[:, 0], seam[:, 1])
    below[list(_LOWER_LIP)], below[list(_UPPER_LIP)] = True, False
    spread[below, 1] += 0.3  # radians
    fit = (radius / np.linalg.norm(spread, axis=1))[outline].min()
    return np.asarray(fit * spread + middle[:2])


def _areas(corners: Array) -> Array:
    """(F,) doubled areas of triangles (F, 3, 2 or more), negative where they turn the other way round."""
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def _height(landmarks: Array) -> float:
    """Length of the face from forehead to chin, pixels."""
    return float(np.linalg.norm(landmarks[FOREHEAD] - landmarks[CHIN]))


def _opening(landmarks: Array) -> float:
    """Gap between the inner lips at their middle, in face heights."""
    upper, lower = INNER_LIP_MIDDLES
    return float(np.linalg.norm(landmarks[upper] - landmarks[lower])) / _height(landmarks)
