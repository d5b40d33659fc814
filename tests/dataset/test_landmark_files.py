import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emojibench.dataset.landmarks import read_driving, read_portrait, write_driving, write_portrait
from emojibench.errors import DatasetError
from emojibench.face.detect import Face
from emojibench.face.driving import DrivingSequence


def driving(frames=5, missing=(2,), rich=True, seed=0):
    rng = np.random.default_rng(seed)
    landmarks = rng.uniform(0, 1, (frames, 478, 3)).astype(np.float32)
    transforms = np.tile(np.eye(4), (frames, 1, 1))
    blendshapes = rng.uniform(0, 1, (frames, 52)).astype(np.float32)
    for array in (landmarks, transforms, blendshapes):
        array[list(missing)] = np.nan
    extra = {"transforms": transforms, "blendshapes": blendshapes} if rich else {}
    return DrivingSequence(landmarks=landmarks, fps=25.0, size=(64, 48), detector="test", **extra)


@given(frames=st.integers(1, 6), rich=st.booleans(), data=st.data())
@settings(max_examples=15, deadline=None)
def test_round_trip(tmp_path_factory, frames, rich, data):
    missing = data.draw(st.sets(st.integers(0, frames - 1), max_size=frames - 1))
    path = tmp_path_factory.mktemp("npz") / "driving.npz"
    before = driving(frames, missing, rich)
    write_driving(path, before)
    after = read_driving(path, frames=frames)
    assert np.array_equal(after.landmarks, before.landmarks, equal_nan=True)
    assert set(np.flatnonzero(~after.detected)) == missing
    assert (after.fps, after.size, after.detector) == (25.0, (64, 48), "test")
    assert (after.transforms is not None) == rich


def test_same_sequence_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        write_driving(tmp_path / name, driving())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_portrait_may_have_no_face(tmp_path):
    write_portrait(tmp_path / "none.npz", None, "test")
    assert read_portrait(tmp_path / "none.npz") == (None, "test")


def portrait_file(path, **arrays):
    write_portrait(path, Face(driving().landmarks[0], np.eye(4)), "test")
    change(path, **arrays)
    return path


def test_a_portrait_keeps_its_head_transform(tmp_path):
    face, detector = read_portrait(portrait_file(tmp_path / "posed.npz"))
    assert np.array_equal(face.landmarks, driving().landmarks[0])
    assert np.array_equal(face.transform, np.eye(4))
    assert detector == "test"
    assert read_portrait(portrait_file(tmp_path / "plain.npz", transform=None))[0].transform is None


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (np.eye(3), r"transform: expected floats \(4, 4\), got float64 \(3, 3\)"),
        (np.eye(4) * np.nan, "transform are not finite"),
    ],
)
def test_a_bad_head_transform_is_named(tmp_path, transform, message):
    with pytest.raises(DatasetError, match=rf"bad.npz: {message}"):
        read_portrait(portrait_file(tmp_path / "bad.npz", transform=transform))


def change(path, **arrays):
    with np.load(path) as file:
        kept = dict(file)
    np.savez(path, **{name: array for name, array in {**kept, **arrays}.items() if array is not None})


BAD = {
    "claims a face where landmarks are NaN": ({"detected": np.ones(5, bool)}, "frame 2: a face is claimed"),
    "denies a face that has landmarks": ({"detected": np.zeros(5, bool)}, "frame 0: no face, but landmarks"),
    "detected is not one flag per frame": (
        {"detected": np.ones(4, bool)},
        r"detected: .* where T is 5, got bool \(4,\)",
    ),
    "wrong point count": (
        {"landmarks": np.zeros((5, 468, 3), np.float32)},
        r"\(T, 478, 3\), got float32 \(5, 468, 3\)",
    ),
    "pixels": ({"landmarks": np.full((5, 478, 3), 200, np.float32)}, "200; expected fractions of width"),
    "infinite": ({"landmarks": np.full((5, 478, 3), np.inf, np.float32)}, "inf; expected fractions"),
    "integers": ({"landmarks": np.zeros((5, 478, 3), np.int32)}, "landmarks: expected floats .* got int32"),
    "no rate": ({"fps": None}, "lacks the arrays fps"),
    "zero rate": ({"fps": np.float64(0)}, "must be positive"),
    "blendshapes out of range": ({"blendshapes": np.full((5, 52), 1.5, np.float32)}, r"must lie in \[0, 1\]"),
    "NaN poses": ({"transforms": np.full((5, 4, 4), np.nan)}, "transforms are not finite in a frame with"),
    "short poses": ({"transforms": np.zeros((4, 4, 4))}, r"where T is 5, got float64 \(4, 4, 4\)"),
    "no detector": ({"detector": None}, "lacks the arrays detector"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arrays_are_named(tmp_path, case):
    arrays, message = BAD[case]
    path = tmp_path / "driving.npz"
    write_driving(path, driving())
    change(path, **arrays)
    with pytest.raises(DatasetError, match=rf"driving.npz.*{message}"):
        read_driving(path)


def test_a_frame_is_nan_throughout_or_not_at_all(tmp_path):
    sequence = driving()
    sequence.landmarks[3, 7, 1] = np.nan
    write_driving(tmp_path / "partly.npz", sequence)
    with pytest.raises(DatasetError, match="frame 3 has NaN for some of its points"):
        read_driving(tmp_path / "partly.npz")


def test_length_must_match_the_manifest(tmp_path):
    write_driving(tmp_path / "driving.npz", driving())
    with pytest.raises(DatasetError, match=r"expected floats .T, 478, 3. where T is 64, got float32 .5,"):
        read_driving(tmp_path / "driving.npz", frames=64)
