"""How varied the faces of driving sequences are: coverage and entropy, whatever the number of sequences.

All of it is a function of shares of frames, in which every sequence counts the same whatever its length. So the order
of sequences does not matter, nor does a dataset that is given twice. Coverage is the expected one of a sample of 1,000
frames (rarefaction: Hurlbert, The Nonconcept of Species Diversity, 1971, drawn with replacement), because the number
of states seen at least once grows with the size of a dataset. Few sequences still bias both downwards, so n belongs
beside them.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench.face.measures import CLOSED_EYES, OPEN_MOUTH, Measures

Array = NDArray[np.float64]

SAMPLE = 1000
"""Frames of the sample that coverage is of."""
_LEVELS = 3
_WIDE_MOUTH, _WIDE_EYES = 0.2, 0.45
_SHIFT = {"mouth_width": 0.03, "corner_height": 0.03, "brow_height": 0.02}
"""Eye distances from the sequence's own median, from which a face shows more or less of something."""
STATES = _LEVELS ** (2 + len(_SHIFT))
ACTIVE = 0.5
"""Coefficient from which a blendshape is shown."""


def states(faces: Measures) -> NDArray[np.intp]:
    """(T,) the expression of each frame of one sequence, one of `STATES`.

    Three levels of five things: mouth closed, open, wide open; eyes closed, open, wide open; the mouth's width, the
    height of its corners and that of the brows below, at and above the sequence's own median, which takes out face
    shapes.
    """
    levels = [
        np.digitize(faces.mouth_opening, (OPEN_MOUTH, _WIDE_MOUTH)),
        np.digitize(faces.eye_opening, (CLOSED_EYES, _WIDE_EYES)),
    ]
    for name, step in _SHIFT.items():
        values = getattr(faces, name)
        levels.append(np.digitize(values - np.median(values), (-step, step)))
    return np.asarray(np.ravel_multi_index(levels, (_LEVELS,) * len(levels)))


def shares(sequences: Iterable[NDArray[np.intp]], count: int) -> Array:
    """(count,) share of each state, every sequence counting the same."""
    each = [np.bincount(of, minlength=count) / len(of) for of in sequences]
    return np.asarray(np.mean(np.sort(each, axis=0), axis=0))


def coverage(probabilities: Array, sample: int = SAMPLE) -> float:
    """Expected share of states that a sample of frames shows: mean of 1 - (1 - p)^sample."""
    return float((1 - (1 - probabilities) ** sample).mean())


def entropy(probabilities: Array) -> float:
    """Shannon entropy over that of equal shares, 0 (one state) to 1 (all alike)."""
    total = probabilities.sum()
    if not total or len(probabilities) < 2:
        return 0.0
    p = probabilities[probabilities > 0] / total
    return max(0.0, float(-(p * np.log(p)).sum())) / math.log(len(probabilities))


def active(sequences: Sequence[NDArray[np.floating[Any]]]) -> tuple[Array, Array]:
    """Of blendshapes (T, 51) of sequences, without `_neutral`: share of frames that show each, and mean coefficient."""
    shown = np.mean(np.sort([(of > ACTIVE).mean(axis=0) for of in sequences], axis=0), axis=0)
    mean = np.mean(np.sort([of.mean(axis=0, dtype=np.float64) for of in sequences], axis=0), axis=0)
    return np.asarray(shown, np.float64), np.asarray(mean, np.float64)


def spread(sequences: Sequence[Array], share: float = 0.95) -> float:
    """Width of the range that holds the middle `share` of frames, every sequence counting the same."""
    values = np.concatenate(sequences)
    weights = np.concatenate([np.full(len(of), 1 / len(of) / len(sequences)) for of in sequences])
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    low, high = (
        values[order[min(int(np.searchsorted(reached, end - 1e-9)), len(order) - 1)]]
        for end in ((1 - share) / 2, (1 + share) / 2)
    )
    return float(high - low)
