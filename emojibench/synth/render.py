"""Rendering one frame: deform, turn, rasterise, light, colour."""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from emojibench.synth.background import paint_background
from emojibench.synth.compiled import Image
from emojibench.synth.features import Features
from emojibench.synth.identity import Identity
from emojibench.synth.mesh import Array, build_parts, expression_basis
from emojibench.synth.motion import State
from emojibench.synth.pose import pose
from emojibench.synth.raster import arrange, normals, spread, visible_surface
from emojibench.synth.shade import colour_pixels
from emojibench.synth.texture import paint

_SUPERSAMPLE = 1.5
_CAMERA = 9.0
"""Distance of the camera, in half head heights."""
UNIT = 0.298
"""Size of a half head height in the picture, as a fraction of its width."""
_CENTRE_Y = -0.10
"""The height on the head that lies in the middle of the picture."""


_INK = (np.arange(256) * 56 >> 8).astype(np.uint8)
"""How an outline darkens what it covers."""


def render(identity: Identity, state: State, size: int = 256) -> Image:
    """Draw an identity in a state: uint8 (size, size, 3), RGB.

    Raises ValueError for a size outside 32 to 2048.
    """
    if not 32 <= size <= 2048:
        raise ValueError(f"size must lie between 32 and 2048, got {size}")
    return _prepared(identity, size).draw(state)


@lru_cache(maxsize=4)
def _prepared(identity: Identity, size: int) -> _Model:
    return _Model(identity, size)


class _Model:
    """Everything about an identity that no frame changes."""

    def __init__(self, identity: Identity, size: int) -> None:
        self._identity, self._size = identity, size
        parts = build_parts(identity)
        self._layout = arrange(parts)
        self._texture = paint(identity, self._layout, parts)
        self._features = Features(identity, spread(self._layout, parts[0]), self._texture)
        basis = expression_basis(identity, parts[0])
        self._names = tuple(basis)
        self._basis = np.stack([b.reshape(-1, 3) for b in basis.values()])
        self._follow = np.concatenate(
            [np.ones(p.points.shape[:2]).ravel() if p.head is None else p.head.ravel() for p in parts]
        )
        boost = (
            {"bronze": 2.6, "marble": 1.1, "basalt": 0.8}.get(identity.kind, 0.5)
            if identity.domain == "sculpture"
            else 1.0
        )
        matt = 0.35 if identity.domain == "animal" else 0.5 if identity.domain == "cartoon" else 1.0
        self._gloss = np.concatenate([np.full(p.points[..., 0].size, p.gloss) for p in parts]) * boost * matt
        self._power = 12.0 if identity.kind == "bronze" else 22.0
        self._background = paint_background(identity, round(size * _SUPERSAMPLE))
        self._tones = _tones(identity)
        side, up = (math.radians(v) for v in identity.light)
        self._light = np.array([math.sin(side) * math.cos(up), math.sin(up), math.cos(side) * math.cos(up)])
        half = self._light + np.array([0.0, 0.0, 1.0])
        self._half = half / math.sqrt(float(half @ half))

    def draw(self, state: State) -> Image:
        size = round(self._size * _SUPERSAMPLE)
        points = self._layout.vertices.copy()
        strengths = np.array([getattr(state, n) for n in self._names])
        points[: self._basis.shape[1]] += np.tensordot(strengths, self._basis, axes=1)
        points = pose(points, self._follow, state)
        screen = self._project(points, state, size)
        seen, table = visible_surface(self._layout, screen, points[:, 2], size)
        texture = self._texture.copy()
        self._features.paint(texture, state)
        picture = self._background.copy()
        colour_pixels(seen, table, texture, self._lit(points), self._tones, picture)
        if self._identity.domain == "cartoon":
            picture = _outlined(picture, np.asarray(self._layout.labels[seen], dtype=np.uint8))
        # At this ratio bilinear sampling touches every pixel, much as an area average does, and it is bit-exact.
        return np.asarray(
            cv2.resize(picture, (self._size, self._size), interpolation=cv2.INTER_LINEAR_EXACT),
            dtype=np.uint8,
        )

    def _project(self, points: Array, state: State, size: int) -> Array:
        unit = UNIT * size * self._identity.size * state.scale
        near = _CAMERA / (_CAMERA - points[:, 2])
        middle = (size - 1) / 2
        x = middle + state.tx * size + unit * points[:, 0] * near
        y = middle + state.ty * size - unit * (points[:, 1] * near - _CENTRE_Y)
        return np.stack([x, y], axis=1)

    def _lit(self, points: Array) -> NDArray[np.uint8]:
        """Light on every vertex, laid out on the atlas: uint8 (rows, columns, 2), diffuse and highlight."""
        n = normals(self._layout, points)
        key = n @ self._light
        diffuse = (
            0.62 * np.clip((key + 0.25) / 1.25, 0.0, 1.0)
            + 0.22 * (0.5 + 0.5 * n[:, 1])
            + 0.16 * np.clip(n[:, 2], 0, 1)
        )
        shine = np.clip(n @ self._half, 0.0, 1.0) ** self._power * self._gloss * (key > 0)
        out = np.zeros((*self._layout.shape, 2), np.uint8)
        out[(*self._layout.cells, 0)] = np.round(np.clip(diffuse, 0, 1) * 255)
        out[(*self._layout.cells, 1)] = np.round(np.clip(shine, 0, 1) * 150)
        return out


def _outlined(picture: Image, labels: NDArray[np.uint8]) -> Image:
    """Dark lines on parts (`labels` above 0) where they end against another one or the background."""
    kernel = np.ones((3, 3), np.uint8)
    line = cv2.dilate(cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, kernel), kernel)
    line[labels == 0] = 0
    return np.asarray(cv2.copyTo(cv2.LUT(picture, _INK), line, picture), dtype=np.uint8)


def _tones(identity: Identity) -> NDArray[np.uint8]:
    """Light to colour multiplier, uint8 (256, 3); 128 leaves the paint as it is."""
    s = np.linspace(0.0, 1.0, 256)
    warm = 0.05 * identity.warmth
    if identity.domain == "cartoon":
        edge = 0.02
        level = 0.62 + 0.26 * np.clip((s - 0.42) / edge, 0, 1) + 0.20 * np.clip((s - 0.62) / edge, 0, 1)
        tint = np.stack([level ** (1.0 - warm), level**1.05, level ** (0.95 + warm)], axis=-1)
    else:
        contrast = {"bronze": 1.25, "basalt": 1.1}.get(identity.kind, 1.0)
        level = np.clip(0.20 + 1.08 * s**contrast, 0.0, 1.6)
        shadow = (1.0 - s)[:, None] * np.array([0.04 + warm, 0.0, -0.02 - warm])
        tint = level[:, None] * np.array([1.0 + warm, 1.0, 1.0 - warm]) + 0.6 * shadow * level[:, None]
    return np.asarray(np.round(np.clip(tint, 0, 1.99) * 128).astype(np.uint8))
