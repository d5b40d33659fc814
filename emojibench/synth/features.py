"""Eyes and mouth on the head's texture, repainted in every frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emojibench.synth.compiled import Field, Image
from emojibench.synth.eyes import Eye
from emojibench.synth.identity import Identity
from emojibench.synth.mesh import EYE_X, EYE_Y, Array
from emojibench.synth.motion import State
from emojibench.synth.mouth import Mouth


@dataclass(frozen=True, eq=False)
class TextureRegion:
    """A window of the head's texture that is repainted."""

    window: tuple[slice, slice]
    x: Field
    y: Field
    still: Image
    """What lies there without features, uint8 (h, w, 3)."""


def _region(p: Array, atlas: Image, low: tuple[float, float], high: tuple[float, float]) -> TextureRegion:
    """The smallest window of the head (which begins the atlas) holding frontal positions from `low` to `high`."""
    inside = (
        (p[..., 0] > low[0])
        & (p[..., 0] < high[0])
        & (p[..., 1] > low[1])
        & (p[..., 1] < high[1])
        & (p[..., 2] > 0)
    )
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    x, y = (np.round(p[window][..., k], 6).astype(np.float32) for k in (0, 1))
    return TextureRegion(window, x, y, atlas[window].copy())


class Features:
    """The moving paint of one identity."""

    def __init__(self, identity: Identity, p: Array, atlas: Image) -> None:
        """`p` (h, w, 3): canonical positions of the head's texels; `atlas`: the painted texture."""
        ex = EYE_X * identity.eye_spacing
        wide, high = (0.225, 0.20) if identity.domain == "cartoon" else (0.20, 0.15)
        self._eyes = [
            (
                _region(p, atlas, (side * ex - wide, EYE_Y - high), (side * ex + wide, EYE_Y + high)),
                Eye(identity, side),
            )
            for side in (1.0, -1.0)
        ]
        self._lips = _region(p, atlas, (-0.33, -0.985), (0.33, -0.35))
        self._mouth = Mouth(identity)

    def paint(self, atlas: Image, state: State) -> None:
        """Repaint eyes and mouth in place."""
        for (region, eye), blink in zip(self._eyes, (state.blink_left, state.blink_right), strict=True):
            eye.paint(region.x, region.y, region.still, atlas[region.window], blink, state)
        lips = self._lips
        self._mouth.paint(lips.x, lips.y, lips.still, atlas[lips.window], state)
