"""Eyes and mouth: what is painted anew on the face in every frame.

Everything here is made of sums, products, roots and clips in float32, which every processor rounds alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from emojibench.synth.identity import Identity
from emojibench.synth.mesh import EYE_X, EYE_Y, JAW_DROP, JAW_FULL, JAW_TOP, MOUTH_Y, Array
from emojibench.synth.motion import State
from emojibench.synth.raster import Image

Field = NDArray[np.float32]
SHUT = 0.97
"""From this blink on, nothing of the eyeball shows."""
JAW_SLOT = 0.10
"""How far the lower lip slides over the chin, in head units, with the mouth wide open."""


def _lips_apart(state: State) -> tuple[float, float]:
    """How far the upper lip is up and the lower lip down at the middle of the mouth, in head units."""
    part = state.lips_part * (1.0 - 0.5 * state.mouth_open)
    up = 0.06 * state.mouth_open + 0.030 * part + 0.02 * state.pucker * state.mouth_open
    return up, JAW_SLOT * state.mouth_open + 0.032 * part


def lip_gap(state: State) -> float:
    """Height of the opening between the lips as rendered, in head units: the painted slot and the dropping jaw."""
    up, down = _lips_apart(state)
    follow = min(max((JAW_TOP - MOUTH_Y + down) / (JAW_TOP - JAW_FULL), 0.0), 1.0)
    return up + down + JAW_DROP * state.mouth_open * follow * follow * (3.0 - 2.0 * follow)


def _eye_half_width(f: Identity) -> float:
    return 0.138 * (0.55 + 0.45 * f.eye_size if f.domain == "cartoon" else f.eye_size)


def _lids(f: Identity, blink: float) -> tuple[float, float]:
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
    upper, lower = _lids(identity, blink)
    return max(upper - lower, 0.0) / (2.0 * _eye_half_width(identity))


def _step(low: float, high: float, x: Field) -> Field:
    u = np.clip((x - np.float32(low)) * np.float32(1.0 / (high - low)), 0, 1)
    return np.asarray(u * u * (3 - 2 * u), dtype=np.float32)


def _over(canvas: Field, colour: Array | Field, alpha: Field) -> None:
    """Lay a colour, (3,) or (3, h, w), over a canvas (3, h, w) in place."""
    paint = np.asarray(colour, np.float32)
    canvas += ((paint if paint.ndim == 3 else paint[:, None, None]) - canvas) * alpha


def _pixels(canvas: Field) -> Image:
    """Canvas (3, h, w) to uint8 (h, w, 3)."""
    return np.round(np.clip(canvas, 0, 255)).astype(np.uint8).transpose(1, 2, 0)


def _plain(colour: Field, like: Field) -> Field:
    """A canvas of one colour, (3, h, w)."""
    return np.broadcast_to(colour[:, None, None], (3, *like.shape)).copy()


@dataclass(frozen=True, eq=False)
class Patch:
    """A window of the head's texture that is repainted."""

    window: tuple[slice, slice]
    x: Field
    y: Field
    still: Image
    """What lies there without features, uint8 (h, w, 3)."""


def _patch(p: Array, atlas: Image, low: tuple[float, float], high: tuple[float, float]) -> Patch:
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
    return Patch(window, x, y, atlas[window].copy())


class Features:
    """The moving paint of one identity."""

    def __init__(self, identity: Identity, p: Array, atlas: Image) -> None:
        """`p` (h, w, 3): canonical positions of the head's texels; `atlas`: the painted texture."""
        self._identity = identity
        ex = EYE_X * identity.eye_spacing
        wide, high = (0.225, 0.20) if identity.domain == "cartoon" else (0.20, 0.15)
        self._eyes = {
            side: _patch(p, atlas, (side * ex - wide, EYE_Y - high), (side * ex + wide, EYE_Y + high))
            for side in (1.0, -1.0)
        }
        self._mouth = _patch(p, atlas, (-0.33, -0.985), (0.33, -0.35))
        self._skin = np.asarray(identity.skin, np.float32)

    def paint(self, atlas: Image, state: State) -> None:
        """Repaint eyes and mouth in place."""
        for side, blink in ((1.0, state.blink_left), (-1.0, state.blink_right)):
            patch = self._eyes[side]
            atlas[patch.window] = self._eye(patch, side, blink, state)
        atlas[self._mouth.window] = self._open_mouth(state)

    def _eye(self, patch: Patch, side: float, blink: float, state: State) -> Image:
        f = self._identity
        cartoon, stone = f.domain == "cartoon", f.domain == "sculpture"
        a = _eye_half_width(f)
        x = patch.x - np.float32(side * EYE_X * f.eye_spacing)
        y = patch.y - np.float32(EYE_Y)
        s = x * np.float32(side / a)  # -1 at the inner corner, 1 at the outer
        y = y - np.float32(f.eye_tilt * 0.16) * s
        arch = np.clip(1 - s * s, 0, 1)
        shut, wide = min(max(blink, 0.0), 1.0), max(-blink, 0.0)
        upper, lower = (np.float32(height) * arch for height in _lids(f, blink))
        edge = 0.009
        gap = np.minimum(upper - y, y - lower)
        open_ = (
            _step(-edge, edge, gap) * _step(1.06, 0.96, np.abs(s)) * np.float32(1.0 if shut < SHUT else 0.0)
        )
        out = patch.still.astype(np.float32).transpose(2, 0, 1).copy()
        lid = self._skin * np.float32(0.80 if not cartoon else 0.86)
        above = _step(-edge, edge, y - upper) * _step(1.05, 0.9, np.abs(s))
        crease = np.float32(1.12 * _lids(f, 0.0)[0]) * arch + np.float32(0.022)
        _over(out, lid, above * _step(0.012, -0.012, y - crease) * np.float32(0.75))
        line = np.clip(1 - np.abs(y - crease) * np.float32(1 / 0.016), 0, 1) * _step(1.1, 0.8, np.abs(s))
        _over(out, self._skin * np.float32(0.62), line * np.float32(0.55 * (1 - 0.6 * wide)))
        ball = self._ball(x, y, side, upper, state)
        _over(out, ball, open_)
        dark = self._skin * np.float32(0.36) if stone else np.array([26.0, 18.0, 18.0], np.float32)
        lash = (
            0.017
            if stone
            else 0.028
            if cartoon
            else 0.013 + 0.012 * bool(f.makeup) + 0.004 * (f.domain == "animal")
        )
        top = np.clip(1.25 - np.abs(y - upper - np.float32(lash * 0.3)) * np.float32(1 / lash), 0, 1)
        _over(out, dark, np.clip(top, 0, 1) * _step(1.14, 1.0, np.abs(s)) * np.float32(0.92))
        bottom = np.clip(1 - np.abs(y - lower) * np.float32(1 / 0.011), 0, 1) * _step(1.08, 0.95, np.abs(s))
        _over(out, self._skin * np.float32(0.5), bottom * np.float32(0.7 if not cartoon else 0.9))
        return _pixels(out)

    def _ball(self, x: Field, y: Field, side: float, upper: Field, state: State) -> Field:
        f = self._identity
        cartoon, stone, animal = f.domain == "cartoon", f.domain == "sculpture", f.domain == "animal"
        grow = 0.5 + 0.5 * f.eye_size if cartoon else f.eye_size
        radius = (0.070 if cartoon else 0.066 if animal else 0.060) * grow
        ix = np.float32((0.090 if cartoon else 0.078) * grow * state.gaze_x)
        iy = np.float32(0.034 * grow * state.gaze_y + 0.008)
        r = np.sqrt((x - ix) ** 2 + (y - iy) ** 2)
        white = self._skin * np.float32(0.93) if stone else np.array([240.0, 236.0, 232.0], np.float32)
        ball = _plain(white, x)
        # The lid's shadow and the roundness of the ball.
        shade = np.clip(1 - (upper - y) * np.float32(1 / 0.05), 0, 1) * np.float32(0.38)
        side_shade = np.clip(np.abs(x) * np.float32(1 / 0.15) - np.float32(0.45), 0, 1) * np.float32(0.4)
        shade = np.maximum(shade, side_shade)
        aa = 0.008
        disc = _step(radius + aa, radius - aa, r)
        if stone:
            _over(ball, self._skin * np.float32(0.42), disc)
            _over(ball, self._skin * np.float32(0.60), _step(radius * 0.78 + aa, radius * 0.78 - aa, r))
            _over(ball, self._skin * np.float32(0.22), _step(radius * 0.50 + aa, radius * 0.50 - aa, r))
        else:
            iris = np.asarray(f.iris, np.float32)
            glow = np.clip(np.float32(1.12) - (y - iy) * np.float32(4.5), np.float32(0.7), np.float32(1.45))
            _over(ball, iris * np.float32(0.42), disc)
            inner = _step(radius * 0.84 + aa, radius * 0.84 - aa, r)
            _over(ball, iris[:, None, None] * glow, inner)
            pupil = radius * (0.5 if cartoon or animal else 0.42)
            _over(ball, np.array([12.0, 10.0, 12.0], np.float32), _step(pupil + aa, pupil - aa, r))
        ball *= 1 - shade
        glint = np.sqrt(
            (x - ix - np.float32(0.35 * radius * (1 if f.light[0] > 0 else -1))) ** 2
            + (y - iy - np.float32(0.38 * radius)) ** 2
        )
        size = radius * (0.30 if cartoon else 0.22)
        _over(
            ball, np.full(3, 250.0), _step(size + aa, size - aa, glint) * np.float32(0.0 if stone else 0.95)
        )
        return ball

    def _open_mouth(self, state: State) -> Image:
        """Slide the lips apart over the still texture and paint what lies between them."""
        f, patch = self._identity, self._mouth
        x, y = patch.x, patch.y
        mw = 0.25 * f.mouth_width * (1.0 - 0.08 * state.mouth_open)
        u = np.abs(x) * np.float32(1 / mw)
        arch = np.clip(1 - u * u, 0, 1)
        round_ = np.sqrt(arch) * (np.float32(0.8) + np.float32(0.2) * arch)
        part = state.lips_part * (1.0 - 0.5 * state.mouth_open)
        apart = _lips_apart(state)
        up, down = np.float32(apart[0]) * round_, np.float32(apart[1]) * round_
        # A faint curve keeps the mouth line from being a ruler's.
        line = np.float32(MOUTH_Y) + np.float32(0.012) * (1 - arch)
        top, bottom = line + up, line - down
        # The lips read the texture from where they came, at their full thickness; chin and philtrum give way.
        chin, nose = np.float32(-0.98), np.float32(-0.36)
        deep = np.clip((bottom - y) / (bottom - chin), 0, 1)
        tall = np.clip((y - top) / (nose - top), 0, 1)
        shift = np.where(
            y < (top + bottom) * np.float32(0.5), down * (1 - deep * deep), -up * (1 - tall * tall)
        )
        out = self._shifted(patch, shift)
        soft = 0.007
        hole = _step(-soft, soft, np.minimum(top - y, y - bottom)) * _step(1.04, 0.97, u)
        gap = state.mouth_open + part
        inside = _plain(self._cavity(), x)
        self._teeth_and_tongue(inside, x, y, top, bottom, state, part)
        _over(out, inside, hole * np.float32(min(gap / 0.06, 1.0)))
        seam = np.clip(1 - np.abs(y - line) * np.float32(1 / 0.013), 0, 1) * _step(1.06, 0.9, u)
        _over(out, self._cavity() * np.float32(0.8), seam * np.float32(0.8 * max(1.0 - gap / 0.06, 0.0)))
        rim = np.clip(1 - np.minimum(np.abs(y - top), np.abs(y - bottom)) * np.float32(1 / 0.012), 0, 1)
        _over(out, self._cavity(), rim * _step(1.05, 0.9, u) * np.float32(0.45 * min(gap / 0.06, 1.0)))
        if state.tongue > 0:
            self._tongue_out(out, x, y, bottom, state)
        return _pixels(out)

    def _shifted(self, patch: Patch, dy: Field) -> Field:
        """The still texture, read `dy` head units higher, as a canvas (3, h, w)."""
        column = patch.y[:, patch.y.shape[1] // 2]
        per_row = np.float32((len(column) - 1) / float(column[-1] - column[0]))
        rows, columns = np.mgrid[0 : dy.shape[0], 0 : dy.shape[1]].astype(np.float32)
        moved = cv2.remap(
            patch.still, columns, rows + dy * per_row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return moved.astype(np.float32).transpose(2, 0, 1).copy()

    def _cavity(self) -> Field:
        if self._identity.domain == "sculpture":
            return np.asarray(
                self._skin * np.float32(0.08) + np.array([18.0, 4.0, 6.0], np.float32), np.float32
            )
        return np.array([40.0, 10.0, 14.0], np.float32)

    def _teeth_and_tongue(
        self, inside: Field, x: Field, y: Field, top: Field, bottom: Field, state: State, part: float
    ) -> None:
        f = self._identity
        stone, cartoon = f.domain == "sculpture", f.domain == "cartoon"
        tongue = (
            self._skin * np.float32(0.2) + np.array([60.0, 22.0, 26.0], np.float32)
            if stone
            else np.array([146.0, 52.0, 60.0], np.float32)
        )
        reach = np.clip(1 - x * x * np.float32(1 / 0.0256), 0, 1)
        gap = top - bottom
        mound = bottom + np.minimum(
            np.float32(0.06 * state.mouth_open) * np.sqrt(reach), gap * np.float32(0.22)
        )
        _over(inside, tongue, _step(0.012, -0.012, y - mound) * np.float32(0.9))
        tooth = self._skin * np.float32(0.95) if stone else np.array([240.0, 234.0, 222.0], np.float32)
        gaps = (
            np.float32(1)
            if cartoon
            else 1
            - np.float32(0.14) * _step(0.42, 0.5, np.abs((x * np.float32(1 / 0.052)) % 1 - np.float32(0.5)))
        )
        shade = np.clip(np.float32(1.05) - np.abs(x) * np.float32(1.5), np.float32(0.45), 1) * gaps
        # Something dark always stays visible between teeth and tongue, so that an open mouth reads as open.
        show = np.minimum(
            np.float32(0.045 if f.domain != "animal" else 0.030),
            gap * np.float32(0.45 - 0.1 * state.mouth_open),
        )
        upper = _step(-0.006, 0.006, y - (top - show)) * np.float32(
            min(1.0, (state.mouth_open + 2 * part) * 3)
        )
        row = tooth[:, None, None] * shade
        _over(inside, row, upper * np.float32(0.96))
        lower = _step(
            0.006,
            -0.006,
            y - (bottom + np.minimum(np.float32(0.03 * min(1.0, 2 * part)), gap * np.float32(0.2))),
        ) * np.float32(min(1.0, 2 * part))
        _over(inside, row * np.float32(0.9), lower * np.float32(0.9))

    def _tongue_out(self, out: Field, x: Field, y: Field, bottom: Field, state: State) -> None:
        stone = self._identity.domain == "sculpture"
        colour = self._skin * np.float32(0.7) if stone else np.array([206.0, 96.0, 102.0], np.float32)
        amount = state.tongue * min(1.0, state.mouth_open * 3)
        centre = np.float32(MOUTH_Y - JAW_SLOT * state.mouth_open + 0.015)
        length = np.float32(0.17 * amount + 1e-3)
        v = np.clip((centre - y) / length, 0, 1)
        wide = np.float32(0.115) * np.sqrt(np.clip(1 - v * v * v * v, 0, 1))
        tip = _step(-0.01, 0.01, np.minimum(wide - np.abs(x), np.minimum(centre - y, y - centre + length)))
        groove = 1 - np.float32(0.22) * np.clip(1 - np.abs(x) * np.float32(1 / 0.014), 0, 1)
        shade = groove * (np.float32(0.85) + np.float32(0.25) * v)
        _over(out, colour[:, None, None] * shade, tip * np.float32(min(1.0, amount * 4)))
