import numpy as np
import pytest
from mediapipe.python.solutions import face_mesh_connections as official

from emojibench.face import points as topology


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("RIGHT_EYE", official.FACEMESH_RIGHT_EYE),
        ("LEFT_EYE", official.FACEMESH_LEFT_EYE),
        ("OVAL", official.FACEMESH_FACE_OVAL),
    ],
)
def test_rings_are_mediapipes_edges(ours, theirs):
    ring = getattr(topology, ours)
    edges = {frozenset(pair) for pair in zip(ring, np.roll(ring, -1).tolist(), strict=True)}
    assert edges == {frozenset(edge) for edge in theirs}


def test_lips_are_mediapipes_two_rings():
    rings = (topology.OUTER_LIPS, topology.INNER_LIPS)
    edges = {frozenset(pair) for ring in rings for pair in zip(ring, np.roll(ring, -1).tolist(), strict=True)}
    assert edges == {frozenset(edge) for edge in official.FACEMESH_LIPS}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("RIGHT_BROW", official.FACEMESH_RIGHT_EYEBROW),
        ("LEFT_BROW", official.FACEMESH_LEFT_EYEBROW),
    ],
)
def test_brows_hold_mediapipes_points(ours, theirs):
    assert set(getattr(topology, ours)) == {point for edge in theirs for point in edge}


def test_irises_hold_mediapipes_points_after_their_centres():
    assert set(topology.RIGHT_IRIS[1:]) == {point for edge in official.FACEMESH_RIGHT_IRIS for point in edge}
    assert set(topology.LEFT_IRIS[1:]) == {point for edge in official.FACEMESH_LEFT_IRIS for point in edge}
