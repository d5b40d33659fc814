"""An eye, painted anew on the face in every frame."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from emojibench.synth.compiled import ONE, ZERO, Field, Image, bump, clip, compiled, lay, smooth_step, store
from emojibench.synth.identity import Identity
from emojibench.synth.mesh import EYE_X, EYE_Y
from emojibench.synth.motion import State

SHUT = 0.97
"""From this blink on, nothing of the eyeball shows."""


class Lids(NamedTuple):
    """An eye's shape in one frame; lengths in head units."""

    x: np.float32
    """Of the eye's middle."""
    y: np.float32
    per_width: np.float32
    """From x to -1 at the inner corner and 1 at the outer."""
    tilt: np.float32
    upper: np.float32
    """Height of the upper lid over the middle."""
    lower: np.float32
    open: np.float32
    """1, or 0 where nothing of the eyeball shows."""
    crease: np.float32
    """Height of the fold of the lid when the eye is open."""
    fold: np.float32
    """How dark the fold is."""
    lash: float
    """Half the thickness of the upper lashes."""
    rim: np.float32
    """How dark the lower lid's rim is."""


class Ball(NamedTuple):
    """An eyeball in one frame; lengths in head units."""

    x: np.float32
    """Of the iris, from the eye's middle."""
    y: np.float32
    rings: tuple[float, float, float]
    """Radii of iris, inner iris and pupil."""
    glow: tuple[np.float32, np.float32]
    """Least and most light of the inner iris."""
    glint_x: np.float32
    """Of the reflection, from the iris."""
    glint_y: np.float32
    glint: float
    """Its radius."""
    shine: np.float32
    """Its opacity."""


def half_width(f: Identity) -> float:
    """Of an eye, in head units."""
    return 0.138 * (0.55 + 0.45 * f.eye_size if f.domain == "cartoon" else f.eye_size)


def lids(f: Identity, blink: float) -> tuple[float, float]:
    """Heights of the upper and the lower lid over the middle of the eye, in head units; they cross when closed.

    The upper lid comes down past the middle; the lower one helps a little.
    """
    cartoon = f.domain == "cartoon"
    tall = f.eye_size * (1.25 if cartoon else 1.1 if f.domain == "animal" else 1.0)
    high, low = 0.070 * tall * (1.0 - 0.22 * f.lid * (not cartoon)), 0.044 * tall
    shut, wide = min(max(blink, 0.0), 1.0), max(-blink, 0.0)
    return high * (1 + 0.55 * wide) * (1 - shut) - low * 0.55 * shut, -low * (1 + 0.25 * wide - 0.40 * shut)


def lid_gap(identity: Identity, blink: float) -> float:
    """Height of an eye's opening over its width, as rendered; 0 when closed."""
    if blink >= SHUT:
        return 0.0
    upper, lower = lids(identity, blink)
    return max(upper - lower, 0.0) / (2.0 * half_width(identity))


class Eye:
    """One eye of an identity."""

    def __init__(self, identity: Identity, side: float) -> None:
        """`side`: 1.0 for the left one of the portrayed, -1.0 for the right."""
        self._identity, self._side = identity, side
        f = identity
        cartoon, stone = f.domain == "cartoon", f.domain == "sculpture"
        skin = np.asarray(f.skin, np.float32)
        iris = np.asarray(f.iris, np.float32)
        dark = skin * np.float32(0.36) if stone else np.array([26, 18, 18], np.float32)
        white = skin * np.float32(0.93) if stone else np.array([240, 236, 232], np.float32)
        if stone:
            rings = [skin * np.float32(0.42), skin * np.float32(0.60), skin * np.float32(0.22)]
        else:
            rings = [iris * np.float32(0.42), iris, np.array([12, 10, 12], np.float32)]
        lid = skin * np.float32(0.86 if cartoon else 0.80)
        fold, rim = skin * np.float32(0.62), skin * np.float32(0.5)
        glint = np.full(3, 250, np.float32)
        self._colours = np.stack([lid, fold, dark, rim, white, *rings, glint])

    def paint(self, x: Field, y: Field, still: Image, out: Image, blink: float, state: State) -> None:
        """Paint the eye over a window of the head.

        Args:
            x: (h, w) positions of the texels, head units.
            y: (h, w).
            still: (h, w, 3), what lies there without the eye.
            out: (h, w, 3), changed in place.
            blink: of this eye.
            state: of the face.
        """
        _paint(x, y, still, out, self._colours, self._lids(blink), self._ball(state))

    def _lids(self, blink: float) -> Lids:
        f = self._identity
        cartoon, stone = f.domain == "cartoon", f.domain == "sculpture"
        wide = max(-blink, 0.0)
        upper, lower = lids(f, blink)
        lash = 0.013 + 0.012 * bool(f.makeup) + 0.004 * (f.domain == "animal")
        return Lids(
            x=np.float32(self._side * EYE_X * f.eye_spacing),
            y=np.float32(EYE_Y),
            per_width=np.float32(self._side / half_width(f)),
            tilt=np.float32(f.eye_tilt * 0.16),
            upper=np.float32(upper),
            lower=np.float32(lower),
            open=np.float32(blink < SHUT),
            crease=np.float32(1.12 * lids(f, 0.0)[0]),
            fold=np.float32(0.55 * (1 - 0.6 * wide)),
            lash=0.017 if stone else 0.028 if cartoon else lash,
            rim=np.float32(0.9 if cartoon else 0.7),
        )

    def _ball(self, state: State) -> Ball:
        f = self._identity
        cartoon, stone, animal = f.domain == "cartoon", f.domain == "sculpture", f.domain == "animal"
        grow = 0.5 + 0.5 * f.eye_size if cartoon else f.eye_size
        radius = (0.070 if cartoon else 0.066 if animal else 0.060) * grow
        inner, pupil = (0.78, 0.50) if stone else (0.84, 0.5 if cartoon or animal else 0.42)
        least, most = (1, 1) if stone else (0.7, 1.45)
        return Ball(
            x=np.float32((0.090 if cartoon else 0.078) * grow * state.gaze_x),
            y=np.float32(0.034 * grow * state.gaze_y + 0.008),
            rings=(radius, radius * inner, radius * pupil),
            glow=(np.float32(least), np.float32(most)),
            glint_x=np.float32(0.35 * radius * (1 if f.light[0] > 0 else -1)),
            glint_y=np.float32(0.38 * radius),
            glint=radius * (0.30 if cartoon else 0.22),
            shine=np.float32(0.0 if stone else 0.95),
        )


@compiled
def _paint(x: Field, y: Field, still: Image, out: Image, colours: Field, at: Lids, ball: Ball) -> None:
    lid, fold, dark, rim = colours[0], colours[1], colours[2], colours[3]
    pixel, white = np.empty(3, np.float32), np.empty(3, np.float32)
    edge = 0.009
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            px, py = x[i, j] - at.x, y[i, j] - at.y
            s = px * at.per_width
            py = py - at.tilt * s
            across = abs(s)
            arch = clip(ONE - s * s, ZERO, ONE)
            upper, lower = at.upper * arch, at.lower * arch
            for c in range(3):
                pixel[c] = np.float32(still[i, j, c])
            above = smooth_step(-edge, edge, py - upper) * smooth_step(1.05, 0.9, across)
            crease = at.crease * arch + np.float32(0.022)
            lay(pixel, lid, ONE, above * smooth_step(0.012, -0.012, py - crease) * np.float32(0.75))
            line = bump(abs(py - crease), 0.016) * smooth_step(1.1, 0.8, across)
            lay(pixel, fold, ONE, line * at.fold)
            gap = min(upper - py, py - lower)
            opening = smooth_step(-edge, edge, gap) * smooth_step(1.06, 0.96, across) * at.open
            if opening > ZERO:
                _paint_ball(px, py, upper, colours, ball, white)
                lay(pixel, white, ONE, opening)
            lashes = abs(py - upper - np.float32(at.lash * 0.3)) * np.float32(1 / at.lash)
            lashes = clip(np.float32(1.25) - lashes, ZERO, ONE)
            lay(pixel, dark, ONE, lashes * smooth_step(1.14, 1.0, across) * np.float32(0.92))
            below = bump(abs(py - lower), 0.011) * smooth_step(1.08, 0.95, across)
            lay(pixel, rim, ONE, below * at.rim)
            store(pixel, out[i, j])


@compiled
def _paint_ball(
    x: np.float32, y: np.float32, upper: np.float32, colours: Field, at: Ball, pixel: Field
) -> None:
    soft = 0.008
    pixel[:] = colours[4]
    dx, dy = x - at.x, y - at.y
    r = np.sqrt(dx * dx + dy * dy)
    glow = clip(np.float32(1.12) - dy * np.float32(4.5), at.glow[0], at.glow[1])
    iris, inner, pupil = at.rings
    lay(pixel, colours[5], ONE, smooth_step(iris + soft, iris - soft, r))
    lay(pixel, colours[6], glow, smooth_step(inner + soft, inner - soft, r))
    lay(pixel, colours[7], ONE, smooth_step(pupil + soft, pupil - soft, r))
    # The lid's shadow and the roundness of the ball.
    shadow = clip(ONE - (upper - y) * np.float32(1 / 0.05), ZERO, ONE) * np.float32(0.38)
    turned = clip(abs(x) * np.float32(1 / 0.15) - np.float32(0.45), ZERO, ONE) * np.float32(0.4)
    light = ONE - max(shadow, turned)
    for c in range(3):
        pixel[c] *= light
    gx, gy = dx - at.glint_x, dy - at.glint_y
    glint = smooth_step(at.glint + soft, at.glint - soft, np.sqrt(gx * gx + gy * gy))
    lay(pixel, colours[8], ONE, glint * at.shine)
