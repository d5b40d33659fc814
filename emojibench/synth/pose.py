"""Turning the mesh with the head."""

from __future__ import annotations

import math

import numpy as np

from emojibench.synth.mesh import Array
from emojibench.synth.motion import State

_PIVOT = np.array([0.0, -0.45, -0.25])
"""Where the head turns on the neck."""


def _rotation(yaw: float, pitch: float, roll: float) -> Array:
    """The matrix that turns by yaw, then pitch, then roll (degrees, signs as in `State`)."""
    a, b, c = math.radians(yaw), math.radians(pitch), math.radians(roll)
    ry = np.array([[math.cos(a), 0, math.sin(a)], [0, 1, 0], [-math.sin(a), 0, math.cos(a)]])
    rx = np.array([[1, 0, 0], [0, math.cos(b), math.sin(b)], [0, -math.sin(b), math.cos(b)]])
    rz = np.array([[math.cos(c), math.sin(c), 0], [-math.sin(c), math.cos(c), 0], [0, 0, 1]])
    return np.asarray(rz @ rx @ ry)


def pose(points: Array, follow: Array, state: State) -> Array:
    """Turn points (n, 3) with the head; `follow` (n,) is 1 on the head and 0 on the torso, which turns a little."""
    local = points - _PIVOT
    head = local @ _rotation(state.yaw, state.pitch, state.roll).T
    body = local @ _rotation(0.18 * state.yaw, 0.0, 0.1 * state.roll).T
    return np.asarray(_PIVOT + body + follow[:, None] * (head - body))
