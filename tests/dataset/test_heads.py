import json

import numpy as np
import pytest
from blobs import POINTS, BlobDetector, picture

from emojibench.dataset import crop, heads
from emojibench.dataset.heads import NoFaceError, cut_head
from emojibench.dataset.sources import manual_landmarks, read_manual_landmarks
from emojibench.errors import DatasetError

PICTURE = picture(220, 150, (60, 40, 60))


def test_the_face_is_read_off_the_crop_with_its_pose():
    head = cut_head(PICTURE, 64, BlobDetector(), None)
    (found,) = BlobDetector().read_all(PICTURE)
    square = crop.head_square(found.landmarks[None], (220, 150))
    assert np.array_equal(head.image, crop.cut(PICTURE, square, 64))
    assert np.array_equal(head.face.landmarks, BlobDetector().read(head.image).landmarks)
    assert np.array_equal(head.face.transform, np.eye(4))
    assert head.square == square
    assert head.notes == ()


def test_landmarks_by_hand_need_no_detector_and_have_no_pose():
    head = cut_head(PICTURE, 64, None, POINTS)
    square = crop.head_square(POINTS[None], (220, 150))
    assert np.array_equal(head.face.landmarks, crop.to_square(POINTS, square, (220, 150)))
    assert head.face.transform is None
    assert head.notes == ("landmarks placed by hand",)


@pytest.mark.parametrize("box", [(900, 50, 70), (0, 600, 100), (1240, 0, 40)])
def test_a_face_small_beside_its_picture_is_found_on_an_enlarged_part(box):
    head = cut_head(picture(1280, 720, box), 256, BlobDetector(), None)
    side = round(1.9 * box[2])
    assert head.square.side == side
    assert head.notes == (
        "found on an enlarged part of the picture",
        f"enlarged: the head is {side} pixels wide",
    )


def test_of_several_faces_the_largest_is_taken():
    two = picture(400, 200, (30, 60, 60), (250, 60, 70))
    head = cut_head(two, 128, BlobDetector(least=0.1), None)
    assert head.notes == ("2 faces; the largest is taken",)
    assert head.square.side == 133
    with pytest.raises(
        NoFaceError, match="2 faces, and on the crop of the largest the detector takes another"
    ):
        cut_head(picture(220, 200, (30, 60, 60), (120, 60, 70)), 128, BlobDetector(), None)


@pytest.mark.parametrize(
    ("person", "square", "cut"),
    [
        ((slice(20, 300), slice(120, 180)), crop.Square(50, 50, 200), True),  # a tall hat
        ((slice(60, 300), slice(120, 180)), crop.Square(50, 50, 200), False),
        (
            (slice(0, 300), slice(120, 180)),
            crop.Square(50, 0, 200),
            False,
        ),  # the picture cuts it, not the crop
        ((slice(70, 120), slice(0, 180)), crop.Square(50, 50, 200), True),  # hair that sticks out to one side
        ((slice(220, 300), slice(0, 300)), crop.Square(50, 50, 200), False),  # shoulders
    ],
)
def test_a_crop_that_cuts_hair_or_hat_is_noted(monkeypatch, person, square, cut):
    monkeypatch.setattr(heads, "person_mask", lambda image: image[..., 0] > 127)
    shot = np.zeros((300, 300, 3), np.uint8)
    shot[person] = 255
    assert heads.cuts_hair(shot, square) == (["the crop cuts hair or hat"] if cut else [])


def test_without_a_face_the_way_out_is_named():
    with pytest.raises(
        NoFaceError, match=r"no face found, .*; crop closer to the head, or place landmarks by hand with"
    ):
        cut_head(picture(300, 200), 64, BlobDetector(), None)


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
    np.savez(tmp_path / "random.npz", landmarks=np.random.default_rng(0).uniform(0, 1, (478, 3)))
    np.savez(tmp_path / "short.npz", landmarks=POINTS[:68])
    (tmp_path / "points.txt").write_text("1 2 3")
    for name, message in {
        "cut.npz": "expected a whole .npz file",
        "cut.json": "not usable JSON",
        "other.json": "holds no `landmarks`",
        "words.json": "not readable as landmarks",
        "other.npz": "lacks the arrays landmarks",
        "nan.npz": "must not be NaN",
        "random.npz": "no face: folded or out of order: .*; place them again with `emojibench data landmarks`",
        "short.npz": r"expected floats \(478, 3\), got float32 \(68, 3\)",
        "points.txt": "expected landmarks as .npz or .json",
        "absent.json": "no such file",
    }.items():
        with pytest.raises(DatasetError, match=rf"{name}: .*{message}"):
            read_manual_landmarks(tmp_path / name)
