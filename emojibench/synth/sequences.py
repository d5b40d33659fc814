"""The built-in sequences: which identity moves how, and who drives whom.

Seeds: sequence i of `synth` uses the identity seed SPLIT_SEEDS.start + 2 i and the motion seed one above it; training
sequence i counts in the same way from TRAINING_SEEDS.start. The two ranges do not overlap, so no split contains a
training identity or motion.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from emojibench.errors import UserError
from emojibench.synth.identity import DOMAINS, Identity, sample_identity
from emojibench.synth.mesh import EYE_Y
from emojibench.synth.motion import NEUTRAL, Motion, State, sample_motion
from emojibench.synth.pose import pose
from emojibench.synth.render import UNIT, render

FRAMES = 64
COUNTS = {"mini": 4, "synth": 500}
SPLIT_SEEDS = range(1_000_000, 1_000_000 + 2 * COUNTS["synth"])
TRAINING_SEEDS = range(2_000_000, 2_000_000_000)
PAIRING_SEED = 20_240
PORTRAIT_SEED = 4_000_000_000
EYE_Z = 0.8
"""Depth of the eyes on the head, in units of the mesh."""


@dataclass(frozen=True, eq=False)
class Sequence:
    """One identity under one motion."""

    sequence_id: str
    subject: str
    domain: str
    identity: Identity
    motion: Motion


def sequences(name: str) -> list[Sequence]:
    """The sequences of `mini` (4, one of each domain, the first four of synth) or `synth` (500, 125 of each).

    Raises UserError for another name.
    """
    if name not in COUNTS:
        near = difflib.get_close_matches(name, COUNTS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"no built-in dataset is called {name!r}: expected one of {', '.join(COUNTS)}{hint}")
    return [_sequence("synth", i, SPLIT_SEEDS) for i in range(COUNTS[name])]


def training_sequences(count: int) -> list[Sequence]:
    """`count` sequences for training, whose seeds no split uses; sequence i does not depend on `count`.

    Raises ValueError where the training seeds do not suffice.
    """
    if not 0 <= 2 * count <= len(TRAINING_SEEDS):
        raise ValueError(f"count must lie between 0 and {len(TRAINING_SEEDS) // 2}, got {count}")
    return [_sequence("train", i, TRAINING_SEEDS) for i in range(count)]


def _sequence(prefix: str, i: int, seeds: range) -> Sequence:
    domain = DOMAINS[i % len(DOMAINS)]
    identity, motion = sample_identity(seeds[2 * i], domain), sample_motion(seeds[2 * i + 1], FRAMES)
    return Sequence(f"{prefix}-{i:04d}", f"{prefix}-subject-{i:04d}", domain, identity, motion)


def pairing(sequences: list[Sequence]) -> list[int]:
    """For each sequence, the index of the one that drives it in the cross split.

    Rule: shuffle the indices with PCG64(PAIRING_SEED); each is driven by the one s places further round the shuffled
    circle, s the smallest step for which nobody is driven by the same subject. So every sequence drives exactly once.
    Raises ValueError where no step will do.
    """
    n = len(sequences)
    order = np.random.Generator(np.random.PCG64(PAIRING_SEED)).permutation(n)
    for step in range(1, n):
        pair = np.empty(n, dtype=np.int64)
        pair[order] = np.roll(order, -step)
        if all(sequences[i].subject != sequences[int(j)].subject for i, j in enumerate(pair)):
            return [int(j) for j in pair]
    raise ValueError(f"cannot pair {n} sequences so that nobody is driven by the same subject")


def portrait_state(sequence: Sequence) -> State:
    """The cross portrait: neutral expression, mild pose (yaw +-10, pitch +-5, roll +-4 degrees) from the seed."""
    rng = np.random.Generator(np.random.PCG64(PORTRAIT_SEED + sequence.identity.seed))
    yaw, pitch, roll = (round(float(v), 6) for v in rng.uniform(-1.0, 1.0, 3) * (10.0, 5.0, 4.0))
    return replace(NEUTRAL, yaw=yaw, pitch=pitch, roll=roll)


def cross_state(portrait: State, driving: Motion, k: int) -> State:
    """What the portrait's identity should do at frame k of a driving motion.

    Rotation and expression are the driving's own; scale is the portrait's times s_k / s_0. Translation is relative,
    t_k - t_0 plus the portrait's, where t is the place of the point between the eyes: the same convention as that of
    motion alignment. (The head turns on the neck, so turning it moves that point.)
    """
    now, first = driving.at(k), driving.at(0)
    state = replace(now, scale=portrait.scale * now.scale / first.scale)
    wanted = _between_eyes(portrait) + _between_eyes(now) - _between_eyes(first)
    tx, ty = wanted - _between_eyes(replace(state, tx=0.0, ty=0.0))
    return replace(state, tx=round(float(tx), 6), ty=round(float(ty), 6))


def _between_eyes(state: State) -> NDArray[np.float64]:
    """(2,) place of the point between the eyes of a head of size 1, in fractions of the picture."""
    eyes = np.array([[0.0, EYE_Y, EYE_Z]])
    x, y, _ = pose(eyes, np.ones(1), state)[0]
    return np.array([state.tx + UNIT * state.scale * x, state.ty - UNIT * state.scale * y])


def frames(identity: Identity, motion: Motion, size: int = 256) -> Iterator[NDArray[np.uint8]]:
    """Yield the frames of an identity under a motion, uint8 (size, size, 3) RGB, one by one."""
    for k in range(len(motion)):
        yield render(identity, motion.at(k), size)
