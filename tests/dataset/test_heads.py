import json

import numpy as np
import pytest

from emojibench.dataset import crop
from emojibench.dataset.heads import NoFaceError, cut_head
from emojibench.dataset.sources import manual_landmarks, read_manual_landmarks
from emojibench.errors import DatasetError
from emojibench.faces.detector import Face

POINTS = np.random.default_rng(0).uniform(0.3, 0.7, (478, 3)).astype(np.float32)
PICTURE = np.random.default_rng(1).integers(0, 256, (150, 220, 3), np.uint8)


class FakeDetector:
    """Finds a face with a pose in pictures of the given widths."""

    def __init__(self, *widths):
        self.widths = widths

    def read(self, image):
        return Face(POINTS, np.eye(4)) if image.shape[1] in self.widths else None

    def detect(self, image):
        face = self.read(image)
        return None if face is None else face.landmarks


def test_the_face_is_read_off_the_crop_with_its_pose():
    head = cut_head(PICTURE, 64, FakeDetector(220, 64), None)
    square = crop.head_square(POINTS[None], (220, 150))
    assert np.array_equal(head.image, crop.cut(PICTURE, square, 64))
    assert np.array_equal(head.face.landmarks, POINTS)
    assert np.array_equal(head.face.transform, np.eye(4))
    assert head.side == square.side


def test_landmarks_by_hand_need_no_detector_and_have_no_pose():
    head = cut_head(PICTURE, 64, FakeDetector(), POINTS)
    square = crop.head_square(POINTS[None], (220, 150))
    assert np.array_equal(head.face.landmarks, crop.to_square(POINTS, square, (220, 150)))
    assert head.face.transform is None


@pytest.mark.parametrize(
    ("detector", "message"),
    [(FakeDetector(), "no face found"), (FakeDetector(220), "not found again on its crop")],
)
def test_without_a_face_the_way_out_is_named(detector, message):
    with pytest.raises(NoFaceError, match=rf"{message}; landmarks placed by hand can lie beside it"):
        cut_head(PICTURE, 64, detector, None)


@pytest.mark.parametrize("form", ["list", "object", "npz"])
def test_every_form_of_landmarks_by_hand(tmp_path, form):
    file = tmp_path / ("points.npz" if form == "npz" else "points.json")
    if form == "npz":
        np.savez(file, landmarks=POINTS)
    else:
        file.write_text(json.dumps(POINTS.tolist() if form == "list" else {"landmarks": POINTS.tolist()}))
    assert np.array_equal(read_manual_landmarks(file), POINTS)
    assert np.array_equal(manual_landmarks(tmp_path / "points.png"), POINTS)


def test_bad_files_of_landmarks_by_hand_are_named(tmp_path):
    np.savez(tmp_path / "whole.npz", landmarks=POINTS)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cut.json").write_text("[[1, 2")
    (tmp_path / "other.json").write_text('{"points": []}')
    (tmp_path / "words.json").write_text('{"landmarks": "none"}')
    np.savez(tmp_path / "other.npz", points=POINTS)
    np.savez(tmp_path / "nan.npz", landmarks=POINTS * np.nan)
    np.savez(tmp_path / "short.npz", landmarks=POINTS[:68])
    (tmp_path / "points.txt").write_text("1 2 3")
    for name, message in {
        "cut.npz": "expected a whole .npz file",
        "cut.json": "not usable JSON",
        "other.json": "holds no `landmarks`",
        "words.json": "not readable as landmarks",
        "other.npz": "lacks the arrays landmarks",
        "nan.npz": "must not be NaN",
        "short.npz": r"expected floats \(478, 3\), got float32 \(68, 3\)",
        "points.txt": "expected landmarks as .npz or .json",
        "absent.json": "no such file",
    }.items():
        with pytest.raises(DatasetError, match=rf"{name}: .*{message}"):
            read_manual_landmarks(tmp_path / name)
