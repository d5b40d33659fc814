"""The mouth, painted anew on the face in every frame: lips slide apart, with teeth and tongue between them."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from emojibench.synth.compiled import (
    HALF,
    ONE,
    ZERO,
    Field,
    Image,
    bump,
    clip,
    compiled,
    lay,
    smooth_step,
    store,
)
from emojibench.synth.identity import Identity
from emojibench.synth.mesh import JAW_DROP, JAW_FULL, JAW_TOP, MOUTH_Y
from emojibench.synth.motion import State

JAW_SLOT = 0.10
"""How far the lower lip slides over the chin, in head units, with the mouth wide open."""
_CHIN, _NOSE = np.float32(-0.98), np.float32(-0.36)
"""Where chin and philtrum stop giving way to the lips."""
_MOUTH_Y = np.float32(MOUTH_Y)


class Lips(NamedTuple):
    """A mouth's shape in one frame; lengths in head units."""

    per_width: np.float32
    """From |x| to 1 at the corners."""
    up: np.float32
    """How far the upper lip is up at the middle."""
    down: np.float32


class Inside(NamedTuple):
    """What shows between and around the lips in one frame; lengths in head units, opacities from 0 to 1."""

    hole: np.float32
    """Opacity of what lies between the lips."""
    seam: np.float32
    """Of the line between closed lips."""
    rim: np.float32
    """Of the shadow along open ones."""
    mound: np.float32
    """Height of the tongue behind the lower lip."""
    gaps: np.float32
    """Darkness of the gaps between the teeth."""
    show: np.float32
    """How much of the upper teeth shows at most."""
    share: np.float32
    """And of the opening."""
    upper: np.float32
    """Opacity of the upper teeth."""
    below: np.float32
    """How much of the lower teeth shows at most."""
    lower: np.float32
    """Opacity of the lower teeth."""
    tongue: np.float32
    """Opacity of a tongue that is put out."""
    root: np.float32
    """Height on the face where that begins."""
    length: np.float32


def _lips_apart(state: State) -> tuple[float, float]:
    """How far the upper lip is up and the lower lip down at the middle of the mouth, in head units."""
    part = _part(state)
    up = 0.06 * state.mouth_open + 0.030 * part + 0.02 * state.pucker * state.mouth_open
    return up, JAW_SLOT * state.mouth_open + 0.032 * part


def _part(state: State) -> float:
    """How far the lips are apart beyond what the jaw does."""
    return state.lips_part * (1.0 - 0.5 * state.mouth_open)


def lip_gap(state: State) -> float:
    """Height of the opening between the lips as rendered, in head units: the painted slot and the dropping jaw."""
    up, down = _lips_apart(state)
    follow = min(max((JAW_TOP - MOUTH_Y + down) / (JAW_TOP - JAW_FULL), 0.0), 1.0)
    return up + down + JAW_DROP * state.mouth_open * follow * follow * (3.0 - 2.0 * follow)


class Mouth:
    """The mouth of an identity."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        skin = np.asarray(identity.skin, np.float32)
        if identity.domain == "sculpture":
            cavity = skin * np.float32(0.08) + np.array([18, 4, 6], np.float32)
            tongue = skin * np.float32(0.2) + np.array([60, 22, 26], np.float32)
            tooth, tip = skin * np.float32(0.95), skin * np.float32(0.7)
        else:
            cavity = np.array([40, 10, 14], np.float32)
            tongue, tip = np.array([146, 52, 60], np.float32), np.array([206, 96, 102], np.float32)
            tooth = np.array([240, 234, 222], np.float32)
        self._colours = np.stack([cavity, cavity * np.float32(0.8), tongue, tooth, tip])

    def paint(self, x: Field, y: Field, still: Image, out: Image, state: State) -> None:
        """Paint the mouth over a window of the head.

        Args:
            x: (h, w) positions of the texels, head units.
            y: (h, w), equal steps downwards.
            still: (h, w, 3), what lies there when the lips are closed.
            out: (h, w, 3), changed in place.
            state: of the face.
        """
        lips = self._lips(state)
        column = y[:, y.shape[1] // 2]
        per_row = np.float32((len(column) - 1) / float(column[-1] - column[0]))
        rows, columns = np.empty_like(y), np.empty_like(y)
        _slide(x, y, per_row, lips, rows, columns)
        moved = cv2.remap(still, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        _paint(x, y, np.asarray(moved, np.uint8), out, self._colours, lips, self._inside(state))

    def _lips(self, state: State) -> Lips:
        width = 0.25 * self._identity.mouth_width * (1.0 - 0.08 * state.mouth_open)
        up, down = _lips_apart(state)
        return Lips(np.float32(1 / width), np.float32(up), np.float32(down))

    def _inside(self, state: State) -> Inside:
        domain, part = self._identity.domain, _part(state)
        gap = state.mouth_open + part
        amount = state.tongue * min(1.0, state.mouth_open * 3)
        return Inside(
            hole=np.float32(min(gap / 0.06, 1.0)),
            seam=np.float32(0.8 * max(1.0 - gap / 0.06, 0.0)),
            rim=np.float32(0.45 * min(gap / 0.06, 1.0)),
            mound=np.float32(0.06 * state.mouth_open),
            gaps=np.float32(0.0 if domain == "cartoon" else 0.14),
            # Something dark always stays visible between teeth and tongue, so that an open mouth reads as open.
            show=np.float32(0.030 if domain == "animal" else 0.045),
            share=np.float32(0.45 - 0.1 * state.mouth_open),
            upper=np.float32(min(1.0, (state.mouth_open + 2 * part) * 3)),
            below=np.float32(0.03 * min(1.0, 2 * part)),
            lower=np.float32(min(1.0, 2 * part)),
            tongue=np.float32(min(1.0, amount * 4)),
            root=np.float32(MOUTH_Y - JAW_SLOT * state.mouth_open + 0.015),
            length=np.float32(0.17 * amount + 1e-3),
        )


@compiled
def _edges(u: np.float32, lips: Lips) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32]:
    """Where, at `u` from the middle: the closed lips' line, upper edge, lower edge; how far these have moved."""
    arch = clip(ONE - u * u, ZERO, ONE)
    bow = np.sqrt(arch) * (np.float32(0.8) + np.float32(0.2) * arch)
    up, down = lips.up * bow, lips.down * bow
    # A faint curve keeps the mouth line from being a ruler's.
    line = _MOUTH_Y + np.float32(0.012) * (ONE - arch)
    return line, line + up, line - down, up, down


@compiled
def _slide(x: Field, y: Field, per_row: np.float32, lips: Lips, rows: Field, columns: Field) -> None:
    """Where each texel reads the closed mouth: lips at their full thickness, chin and philtrum give way."""
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            py = y[i, j]
            _, top, bottom, up, down = _edges(abs(x[i, j]) * lips.per_width, lips)
            if py < (top + bottom) * HALF:
                deep = clip((bottom - py) / (bottom - _CHIN), ZERO, ONE)
                shift = down * (ONE - deep * deep)
            else:
                tall = clip((py - top) / (_NOSE - top), ZERO, ONE)
                shift = -up * (ONE - tall * tall)
            rows[i, j] = np.float32(i) + shift * per_row
            columns[i, j] = np.float32(j)


@compiled
def _paint(x: Field, y: Field, moved: Image, out: Image, colours: Field, lips: Lips, at: Inside) -> None:
    cavity, seam, tip = colours[0], colours[1], colours[4]
    pixel, inside = np.empty(3, np.float32), np.empty(3, np.float32)
    soft = 0.007
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            px, py = x[i, j], y[i, j]
            u = abs(px) * lips.per_width
            line, top, bottom, _, _ = _edges(u, lips)
            for c in range(3):
                pixel[c] = np.float32(moved[i, j, c])
            hole = smooth_step(-soft, soft, min(top - py, py - bottom)) * smooth_step(1.04, 0.97, u)
            if hole > ZERO:
                _paint_inside(px, py, top, bottom, colours, at, inside)
                lay(pixel, inside, ONE, hole * at.hole)
            lay(pixel, seam, ONE, bump(abs(py - line), 0.013) * smooth_step(1.06, 0.9, u) * at.seam)
            rim = bump(min(abs(py - top), abs(py - bottom)), 0.012)
            lay(pixel, cavity, ONE, rim * smooth_step(1.05, 0.9, u) * at.rim)
            if at.tongue > ZERO:
                v = clip((at.root - py) / at.length, ZERO, ONE)
                wide = np.float32(0.115) * np.sqrt(clip(ONE - v * v * v * v, ZERO, ONE))
                tall = min(at.root - py, py - at.root + at.length)
                alpha = smooth_step(-0.01, 0.01, min(wide - abs(px), tall)) * at.tongue
                groove = ONE - np.float32(0.22) * bump(abs(px), 0.014)
                lay(pixel, tip, groove * (np.float32(0.85) + np.float32(0.25) * v), alpha)
            store(pixel, out[i, j])


@compiled
def _paint_inside(
    x: np.float32,
    y: np.float32,
    top: np.float32,
    bottom: np.float32,
    colours: Field,
    at: Inside,
    pixel: Field,
) -> None:
    pixel[:] = colours[0]
    gap = top - bottom
    reach = clip(ONE - x * x * np.float32(1 / 0.0256), ZERO, ONE)
    mound = bottom + min(at.mound * np.sqrt(reach), gap * np.float32(0.22))
    lay(pixel, colours[2], ONE, smooth_step(0.012, -0.012, y - mound) * np.float32(0.9))
    between = abs((x * np.float32(1 / 0.052)) % ONE - HALF)
    shade = clip(np.float32(1.05) - abs(x) * np.float32(1.5), np.float32(0.45), ONE)
    shade = shade * (ONE - at.gaps * smooth_step(0.42, 0.5, between))
    upper = smooth_step(-0.006, 0.006, y - (top - min(at.show, gap * at.share))) * at.upper
    lay(pixel, colours[3], shade, upper * np.float32(0.96))
    lower = smooth_step(0.006, -0.006, y - (bottom + min(at.below, gap * np.float32(0.2)))) * at.lower
    for c in range(3):
        tooth = colours[3][c] * shade * np.float32(0.9)
        pixel[c] += (tooth - pixel[c]) * (lower * np.float32(0.9))
