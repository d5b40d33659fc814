"""Motions: what the head and the face do over time.

A motion is a table of named parameters over T frames. Named expressions are eased in and out over time and
composed with head movement, blinks and gaze saccades. "Left" and "right" are the subject's own: the subject's left
eye is on the right of the picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class State:
    """One frame's pose and expression. All zeros (and scale 1) is the neutral frontal face."""

    yaw: float = 0.0
    """Degrees; positive turns the nose towards the right of the picture."""
    pitch: float = 0.0
    """Degrees; positive looks up."""
    roll: float = 0.0
    """Degrees; positive tilts the head clockwise in the picture."""
    tx: float = 0.0
    """Shift to the right, as a fraction of the picture's width."""
    ty: float = 0.0
    """Shift downwards, as a fraction of the picture's height."""
    scale: float = 1.0
    """Size of the head relative to the identity's own."""
    blink_left: float = 0.0
    """0 relaxed, 1 closed, down to -0.5 wide open."""
    blink_right: float = 0.0
    gaze_x: float = 0.0
    """-1 to 1; positive looks towards the right of the picture."""
    gaze_y: float = 0.0
    """-1 to 1; positive looks up."""
    brow_inner_left: float = 0.0
    """-1 lowered to 1 raised, as the three that follow."""
    brow_inner_right: float = 0.0
    brow_outer_left: float = 0.0
    brow_outer_right: float = 0.0
    mouth_open: float = 0.0
    """0 closed to 1 as wide as the jaw goes."""
    mouth_wide: float = 0.0
    """-1 narrow to 1 stretched."""
    smile_left: float = 0.0
    """-1 corner pulled down to 1 corner pulled up."""
    smile_right: float = 0.0
    pucker: float = 0.0
    """0 to 1: lips rounded and pushed forward."""
    lips_part: float = 0.0
    """0 to 1: lips drawn apart over closed teeth."""
    jaw_side: float = 0.0
    """-1 to 1; positive moves the jaw towards the right of the picture."""
    cheek_puff: float = 0.0
    """0 to 1: cheeks blown up."""
    tongue: float = 0.0
    """0 to 1: tongue shown over the lower lip (needs an open mouth)."""


NEUTRAL = State()
PARAMETERS: tuple[str, ...] = tuple(f.name for f in fields(State))
_COLUMN = {name: i for i, name in enumerate(PARAMETERS)}
HEAD = ("yaw", "pitch", "roll", "tx", "ty", "scale")
"""The rigid parameters; all the others are expression."""

_RANGES: dict[str, tuple[float, float]] = {
    "yaw": (-42.0, 42.0), "pitch": (-22.0, 22.0), "roll": (-20.0, 20.0), "tx": (-0.1, 0.1), "ty": (-0.1, 0.1),
    "scale": (0.88, 1.12), "blink_left": (-0.5, 1.0), "blink_right": (-0.5, 1.0), "mouth_open": (0.0, 1.0),
    "pucker": (0.0, 1.0), "lips_part": (0.0, 1.0), "cheek_puff": (0.0, 1.0), "tongue": (0.0, 1.0),
}  # fmt: skip


def _both(**values: float) -> dict[str, float]:
    """Expand `blink`, `smile`, `inner` and `outer` to both sides of the face."""
    names = {"blink": "blink", "smile": "smile", "inner": "brow_inner", "outer": "brow_outer"}
    out: dict[str, float] = {}
    for key, value in values.items():
        if key in names:
            out[f"{names[key]}_left"] = out[f"{names[key]}_right"] = value
        else:
            out[key] = value
    return out


EXPRESSIONS: Mapping[str, Mapping[str, float]] = {
    "neutral": {},
    "smile": _both(smile=0.7, mouth_wide=0.4, blink=0.1, lips_part=0.15),
    "grin": _both(smile=0.9, mouth_wide=0.7, lips_part=0.9, blink=0.2, inner=0.1),
    "laugh": _both(smile=1.0, mouth_wide=0.6, mouth_open=0.75, lips_part=0.3, blink=0.45, inner=0.2, outer=0.3),
    "sad": _both(smile=-0.7, inner=0.8, outer=-0.4, blink=0.25, gaze_y=-0.3),
    "cry": _both(smile=-0.9, mouth_open=0.5, mouth_wide=0.4, inner=0.9, outer=-0.6, blink=0.8, lips_part=0.4),
    "angry": _both(smile=-0.5, inner=-1.0, outer=0.3, blink=0.15, mouth_wide=-0.2),
    "rage": _both(smile=-0.3, inner=-1.0, outer=0.5, mouth_open=0.75, mouth_wide=0.5, lips_part=0.5, blink=-0.1),
    "surprise": _both(inner=0.8, outer=0.8, blink=-0.4, mouth_open=0.65, mouth_wide=-0.3),
    "shock": _both(inner=1.0, outer=1.0, blink=-0.5, mouth_open=0.95, mouth_wide=-0.2),
    "fear": _both(inner=1.0, outer=0.2, blink=-0.4, mouth_open=0.3, mouth_wide=0.8, lips_part=0.3, smile=-0.4),
    "disgust": _both(inner=-0.7, outer=-0.2, blink=0.4, smile=-0.5, lips_part=0.4, mouth_wide=0.1),
    "wink_left": {"blink_left": 1.0, "smile_left": 0.9, "smile_right": 0.5, "mouth_wide": 0.3,
                  "brow_inner_left": -0.3, "brow_outer_right": 0.4},
    "wink_right": {"blink_right": 1.0, "smile_right": 0.9, "smile_left": 0.5, "mouth_wide": 0.3,
                   "brow_inner_right": -0.3, "brow_outer_left": 0.4},
    "kiss": _both(pucker=1.0, mouth_wide=-0.6, blink=0.7, inner=0.2),
    "whistle": _both(pucker=0.9, mouth_wide=-0.8, mouth_open=0.15, inner=0.3, outer=0.3),
    "grimace": _both(lips_part=1.0, mouth_wide=1.0, smile=-0.2, inner=-0.3, blink=0.35),
    "puff": _both(cheek_puff=1.0, pucker=0.4, mouth_wide=-0.3, inner=0.3, outer=0.3, blink=-0.2),
    "smirk": {"smile_left": 0.9, "smile_right": -0.1, "mouth_wide": 0.2, "brow_outer_left": 0.5,
              "blink_right": 0.2, "gaze_x": 0.4},
    "skeptical": {"brow_inner_left": 0.7, "brow_outer_left": 1.0, "brow_inner_right": -0.8, "brow_outer_right": -0.3,
                  "blink_right": 0.35, "smile_left": -0.4, "jaw_side": -0.4},
    "sleepy": _both(blink=0.65, inner=0.3, outer=0.2, gaze_y=-0.4, smile=-0.1),
    "yawn": _both(blink=0.95, mouth_open=0.95, mouth_wide=-0.3, inner=0.5, outer=0.2),
    "scream": _both(blink=0.9, mouth_open=1.0, mouth_wide=0.3, inner=-0.6, outer=0.2, lips_part=0.6),
    "tongue_out": _both(mouth_open=0.7, tongue=1.0, smile=0.5, blink=0.1, outer=0.5, inner=0.3),
    "crazy": {"mouth_open": 0.8, "tongue": 0.8, "blink_left": 1.0, "blink_right": -0.4, "smile_left": 0.9,
              "smile_right": 0.6, "brow_outer_right": 1.0, "brow_inner_left": -0.6, "jaw_side": 0.7},
    "oh": _both(mouth_open=0.7, pucker=0.6, mouth_wide=-0.7, inner=0.4, outer=0.4, blink=-0.2),
    "ah": _both(mouth_open=0.85, blink=0.0),
    "eyes_shut": _both(blink=1.0, smile=0.2),
}  # fmt: skip
"""Named expressions: the parameters that differ from neutral at full strength."""


@dataclass(frozen=True, eq=False)
class Motion:
    """A table of parameters over time. `motion.yaw` (or any other name) is that column, float64 (T,)."""

    seed: int
    table: Array
    """float64 (T, len(PARAMETERS)), columns in the order of `PARAMETERS`."""
    expressions: tuple[str, ...] = ()
    """The named expressions of the sequence, in order of appearance."""

    def __len__(self) -> int:
        return len(self.table)

    def __getattr__(self, name: str) -> Any:
        if name in _COLUMN:
            return self.table[:, _COLUMN[name]]
        raise AttributeError(name)

    def at(self, k: int) -> State:
        """The state of frame k."""
        return State(*(float(v) for v in self.table[k]))


def sample_motion(seed: int, frames: int = 64) -> Motion:
    """Draw a motion; the same seed and length always give the same table.

    Distributions: two to four expressions at strength 0.6-1 (the first frame shows at most half of one); the largest
    |yaw| is over 35 degrees in two fifths of the sequences and 16-36 in the others; pitch to +-12, roll to +-13
    degrees, translation to +-0.05 of the picture, scale 0.93-1.07; one to three blinks; a saccade every 7-18 frames.
    Raises ValueError for fewer than 2 frames.
    """
    if frames < 2:
        raise ValueError(f"a motion needs at least 2 frames, got {frames}")
    rng = np.random.Generator(np.random.PCG64(seed))
    table = np.zeros((frames, len(PARAMETERS)))
    table[:, _COLUMN["scale"]] = 1.0
    names = _add_expressions(table, rng)
    _add_head(table, rng)
    _add_blinks(table, rng)
    _add_gaze(table, rng)
    for name, column in _COLUMN.items():
        low, high = _RANGES.get(name, (-1.0, 1.0))
        table[:, column] = np.clip(table[:, column], low, high)
    table = np.round(table, 6)
    table.setflags(write=False)
    return Motion(seed, table, names)


def _ease(keys: Array, values: Array, frames: int) -> Array:
    """Values at the key times, joined by the quintic ease 6u^5 - 15u^4 + 10u^3 (no jump in speed)."""
    t = np.arange(frames, dtype=np.float64)
    i = np.clip(np.searchsorted(keys, t, side="right") - 1, 0, len(keys) - 2)
    u = np.clip((t - keys[i]) / np.maximum(keys[i + 1] - keys[i], 1e-9), 0.0, 1.0)
    w = u * u * u * (10.0 + u * (6.0 * u - 15.0))
    return np.asarray(values[i] * (1.0 - w) + values[i + 1] * w)


def _add_expressions(table: Array, rng: np.random.Generator) -> tuple[str, ...]:
    frames = len(table)
    count = int(rng.integers(2, 5))
    names = tuple(
        str(n) for n in rng.choice([n for n in EXPRESSIONS if n != "neutral"], count, replace=False)
    )
    first = str(rng.choice([n for n in EXPRESSIONS if n != "neutral"])) if rng.random() < 0.4 else "neutral"
    strengths = [rng.uniform(0.1, 0.5), *rng.uniform(0.6, 1.0, count)]
    edges = np.linspace(0.0, frames - 1.0, count + 2)[1:-1] + rng.uniform(-0.1, 0.1, count) * frames / (
        count + 1
    )
    hold = rng.uniform(0.08, 0.25) * frames / (count + 1)
    keys = [0.0]
    for centre in edges:
        keys += [max(centre - hold, keys[-1] + 5.0), centre + hold]
    keys.append(max(frames - 1.0, keys[-1] + 1.0))
    tail = 0.0 if rng.random() < 0.5 else 1.0
    for parameter in {p for n in (first, *names) for p in EXPRESSIONS[n]}:
        levels = [strengths[0] * EXPRESSIONS[first].get(parameter, 0.0)]
        for name, strength in zip(names, strengths[1:], strict=True):
            levels += [strength * EXPRESSIONS[name].get(parameter, 0.0)] * 2
        levels.append(tail * levels[-1])
        table[:, _COLUMN[parameter]] += _ease(np.array(keys), np.array(levels), frames)
    return names


def _add_head(table: Array, rng: np.random.Generator) -> None:
    frames = len(table)
    peak = rng.uniform(36.5, 40.0) if rng.random() < 0.4 else rng.uniform(17.5, 36.0)
    count = int(rng.integers(2, 4))
    gaps = rng.uniform(1.0, 1.8, count + 1)
    keys = np.concatenate([[0.0], np.cumsum(gaps)]) / gaps.sum() * (frames - 1)
    sign = float(rng.choice([-1.0, 1.0]))
    yaw = rng.uniform(-0.8, 0.8, count + 2) * peak
    yaw[0] = rng.uniform(-9.0, 9.0)
    extreme = int(rng.integers(1, count + 1))
    yaw[extreme] = sign * peak
    if rng.random() < 0.6:
        yaw[extreme + 1] = -sign * rng.uniform(0.3, 0.9) * peak
    table[:, _COLUMN["yaw"]] = _ease(keys, yaw, frames)
    for name, reach, start in (
        ("pitch", 11.0, 4.0), ("roll", 12.0, 4.0), ("tx", 0.05, 0.02), ("ty", 0.04, 0.02), ("scale", 0.07, 0.03),
    ):  # fmt: skip
        values = rng.uniform(-reach, reach, count + 2)
        values[0] = rng.uniform(-start, start)
        table[:, _COLUMN[name]] += _ease(keys, values, frames)
    t = np.arange(frames)
    for name, reach in (("yaw", 1.0), ("pitch", 1.0), ("roll", 0.8)):  # The small sway of a living head.
        period, phase = rng.uniform(18.0, 36.0), rng.uniform(0.0, 2.0 * np.pi)
        table[:, _COLUMN[name]] += reach * rng.uniform(0.3, 1.0) * np.sin(2.0 * np.pi * t / period + phase)


def _add_blinks(table: Array, rng: np.random.Generator) -> None:
    frames = len(table)
    shape = np.array([0.35, 0.85, 1.0, 1.0, 0.8, 0.4, 0.12])
    for start in rng.integers(2, max(frames - len(shape), 3), int(rng.integers(1, 4))):
        length = min(len(shape), frames - int(start))
        window = slice(int(start), int(start) + length)
        for side in ("blink_left", "blink_right"):
            lid = table[window, _COLUMN[side]]
            table[window, _COLUMN[side]] = lid + shape[:length] * (1.0 - lid)


def _add_gaze(table: Array, rng: np.random.Generator) -> None:
    frames = len(table)
    for name, reach in (("gaze_x", 1.0), ("gaze_y", 0.6)):
        rng_start = rng.uniform(-0.3, 0.3)
        keys, values, t, level = [0.0], [rng_start], 0.0, rng_start
        while t < frames - 4:
            t += float(rng.integers(7, 19))
            target = rng.uniform(-reach, reach)
            keys += [t, t + 3.0]
            values += [level, target]
            level = target
        table[:, _COLUMN[name]] += _ease(np.array(keys), np.array(values), frames)
