import json
import re
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emojibench.dataset import building, crop, load_dataset
from emojibench.dataset.building import REPORT_FILE, build
from emojibench.dataset.landmarks import read_portrait
from emojibench.errors import UserError
from emojibench.media import read_video, write_image
from emojibench.parallel.local import Local


def item(report, name):
    return next(item for item in report.items if item.file.endswith(name))


def test_good_files_are_kept(built):
    _, report = built
    assert sorted(item.id for item in report.items if item.kept) == [
        "anna", "anna.frame0-cb4a6a08", "ben", "by_hand", "cartoon-drawn-one", "grey", "late", "wide",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nobody.png", "no face found, .*place landmarks by hand with `emojibench data landmarks`"),
        ("wide_again.png", "the same content as .*wide.png"),
        ("hurt.png", "hurt.npz: "),
        ("twin.mov", "the same content as .*ben.mp4"),
        ("titled.mkv", "."),
        ("na\\xefve.png", "its name is not UTF-8; rename it"),
        ("notes.txt", r"expected .*\.jpg"),
        ("broken.jpg", r"broken.jpg: .*(damaged|not a picture)"),
        ("patchy.mkv", r"face found in 3 of 6 frames \(50%\); 90% are needed"),
        ("short.mkv", "too short: 6 frames are needed"),
        ("slow.mkv", "5 frames per second; at least 10 are needed"),
        ("cut.mkv", r"truncated or damaged .* frames could be decoded"),
        ("dark.mkv", "no face in any of its 8 frames"),
        ("motion.npy", "landmarks of another detector and no frames"),
    ],
)
def test_the_others_are_left_out_with_the_reason(built, name, reason):
    found = item(built[1], name)
    assert not found.kept
    assert re.search(reason, found.reason)


def test_the_report_is_kept_in_the_folder(built):
    folder, report = built
    assert json.loads((folder / REPORT_FILE).read_text()) == report.model_dump(mode="json")


def test_frames_are_taken_by_index(built):
    _, report = built
    assert item(report, "anna.mkv").reason == "frames 0 to 5"
    assert item(report, "ben.mp4").reason == "frames 0 to 10, one in 2"  # 50 fps towards 25
    assert item(report, "late.mkv").reason == "frames 4 to 9"  # from the first face on
    dataset = load_dataset(built[0], size=96)
    assert dataset.clip("self-ben").driving.fps == 25
    assert {entry.frames for entry in dataset.entries} == {6}


def test_self_clips_hold_their_own_first_frame(built):
    dataset = load_dataset(built[0], size=96)
    for clip_id in dataset.clip_ids("self"):
        clip = dataset.clip(clip_id)
        truth = dataset.ground_truth(clip_id)
        assert np.array_equal(truth[0], clip.portrait)
        assert np.array_equal(truth, clip.load_driving_frames())
        assert np.array_equal(clip.portrait_landmarks, clip.driving.landmarks[0])


def test_cross_clips_pair_different_subjects(built):
    dataset = load_dataset(built[0], size=96)
    entries = [entry for entry in dataset.entries if entry.split == "cross"]
    assert all(entry.subject != entry.driving_subject for entry in entries)
    drivers = {}
    for entry in entries:
        drivers.setdefault(entry.subject, []).append(entry.driving_subject)
        assert dataset.ground_truth(entry.clip_id) is None
    assert {subject: len(set(by)) for subject, by in drivers.items()} == dict.fromkeys(
        ["anna", "anna.frame0-cb4a6a08", "by_hand", "cartoon-drawn-one", "grey"], 2
    )
    assert sorted(drivers["anna"]) == ["ben", "late"]  # never by herself


def test_domains_come_from_table_or_subfolder(built):
    domains = {item.id: item.domain for item in built[1].items if item.kept}
    assert domains["wide"] == "realistic"
    assert domains["cartoon-drawn-one"] == "cartoon"
    assert domains["grey"] == "unspecified"


def test_landmarks_placed_by_hand_move_with_the_crop(built, user_files):
    folder, report = built
    assert item(report, "by_hand.png").reason.startswith("landmarks placed by hand; enlarged")
    face, detector = read_portrait(folder / "portraits" / "by_hand.npz")
    assert detector == "manual"
    placed = np.load(user_files / "portraits" / "by_hand.npz")["landmarks"]
    square = crop.head_square(placed[None], (120, 120))
    back = face.landmarks * square.side + np.array([square.left, square.top, 0])
    assert back == pytest.approx(placed * 120, abs=1e-3)


def test_same_files_same_digest_and_another_seed_other_pairs(tmp_path, user_files):
    for folder, names in {"portraits": ["wide.png", "grey.png"], "driving": ["anna.mkv", "ben.mp4"]}.items():
        (tmp_path / folder).mkdir()
        for name in names:
            shutil.copy(user_files / folder / name, tmp_path / folder)

    def again(seed, jobs):
        out = tmp_path / f"{seed}-{jobs}"
        build(tmp_path / "portraits", tmp_path / "driving", out, frames=6, seed=seed, executor=Local(jobs))
        entries = load_dataset(out, size=256).entries
        pairs = {entry.subject: entry.driving_subject for entry in entries if entry.split == "cross"}
        return pairs, {path: digest for entry in entries for path, digest in entry.sha256.items()}

    pairs, files = again(seed=1, jobs=2)
    other_pairs, same_files = again(seed=4, jobs=1)
    assert (pairs, other_pairs) == ({"grey": "ben", "wide": "ben"}, {"grey": "anna", "wide": "ben"})
    assert same_files == files


def test_windows_of_a_video_in_numbered_frames(tmp_path, user_files, faces):
    (tmp_path / "portraits").mkdir()
    shutil.copy(user_files / "portraits" / "grey.png", tmp_path / "portraits")
    for k, frame in enumerate(faces[0]):
        write_image(tmp_path / "driving" / "anna" / f"{k}.png", frame)
    options = {"frames": 5, "size": 96, "windows": 3, "pairs_per_portrait": 2, "fps": 20, "start": 0.05}
    report = build(tmp_path / "portraits", tmp_path / "driving", tmp_path / "out", **options)
    first, second, third = (item for item in report.items if item.kind == "driving")
    assert first.reason.startswith(("frames 1 to 5", "frames 2 to 6"))
    assert second.reason.startswith(("frames 6 to 10", "frames 7 to 11"))
    assert (third.kept, third.reason) == (False, "room for 2 of 3 windows")
    assert min(first.motion, second.motion) > 0
    entries = load_dataset(tmp_path / "out", size=96).entries
    assert [entry.clip_id for entry in entries if entry.split == "self"] == ["self-anna.w1", "self-anna.w2"]
    assert {entry.driving_subject for entry in entries} == {"anna"}
    assert load_dataset(tmp_path / "out", size=96).clip("self-anna.w1").driving.fps == 20


def test_nothing_is_left_behind_when_building_fails(tmp_path, user_files):
    folders = user_files / "portraits", user_files / "driving", tmp_path / "out"
    with pytest.raises(UserError, match=r"no clip came out .*(\n.*)+short.mkv: too short: 13 frames"):
        build(*folders, frames=13, size=96, pairs_per_portrait=0)
    with pytest.raises(UserError, match=r"--min-detected: .*less than or equal to 1, got 3"):
        build(*folders, min_detected=3)
    with pytest.raises(UserError, match=r"--name: expected letters, .*got 'a/b'"):
        build(*folders, name="a/b", frames=6, size=96)
    assert list(tmp_path.iterdir()) == []


def test_what_appears_meanwhile_is_not_overwritten(tmp_path):
    for folder in ("made", "out"):
        write_image(tmp_path / folder / "precious.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(
        UserError, match="out: the dataset cannot be put there: Directory not empty; was something"
    ):
        building._put(tmp_path / "made", tmp_path / "out")
    assert (tmp_path / "out" / "precious.png").is_file()


@pytest.mark.parametrize("name", ["My Benchmark", "x" * 201])
def test_a_bad_name_is_refused_before_any_work(tmp_path, user_files, name):
    with pytest.raises(UserError, match=r"--name: expected letters, .* it is the name of --out unless given"):
        build(user_files / "portraits", user_files / "driving", tmp_path / "out", name=name)


def test_the_output_must_be_free_and_the_input_there(tmp_path, user_files):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()
    portraits, driving = user_files / "portraits", user_files / "driving"
    with pytest.raises(UserError, match="out: already there; choose another --out"):
        build(portraits, driving, tmp_path / "out")
    with pytest.raises(UserError, match="absent: no such folder"):
        build(tmp_path / "absent", driving, tmp_path / "new")


def test_the_crop_rule_by_hand():
    """A face of 100 x 60 pixels around (250, 200): 190 pixels, around a point 10 pixels higher."""
    points = np.full((1, 478, 3), 0.5, np.float32)
    points[0, :2, 0] = 200 / 500, 300 / 500
    points[0, 2:4, 1] = 170 / 400, 230 / 400
    square = crop.head_square(points, (500, 400))
    assert (square.left, square.top, square.side) == (155, 95, 190)


@given(
    width=st.integers(100, 900),
    height=st.integers(100, 900),
    x=st.floats(0.1, 0.9),
    y=st.floats(0.1, 0.9),
    extent=st.floats(0.02, 0.5),
)
def test_crop_holds_the_face_and_stays_inside_where_it_can(width, height, x, y, extent):
    rng = np.random.default_rng(0)
    half = extent * min(width, height) / 2
    pixels = np.array([x * width, y * height]) + rng.uniform(-half, half, (2, 478, 2))
    points = np.zeros((2, 478, 3), np.float32)
    points[:, :, :2] = pixels / (width, height)
    square = crop.head_square(points, (width, height))
    if square.side <= min(width, height):
        assert 0 <= square.left <= width - square.side
        assert 0 <= square.top <= height - square.side
    inside = crop.to_square(points[0], square, (width, height))[:, :2]
    seen = ((points[0, :, :2] > 0) & (points[0, :, :2] < 1)).all(1)
    assert (inside[seen] > -0.05).all()
    assert (inside[seen] < 1.05).all()
    image = np.zeros((height, width, 3), np.uint8)
    assert crop.cut(image, square, 32).shape == (32, 32, 3)


def test_crop_shows_the_pixels_that_its_landmarks_point_at():
    image = np.zeros((300, 500, 3), np.uint8)
    image[100:110, 240:250] = 255
    points = np.zeros((478, 3), np.float32)
    points[:, 0] = np.linspace(200, 300, 478) / 500
    points[:, 1] = np.linspace(60, 160, 478) / 300
    points[0, :2] = 245 / 500, 105 / 300
    square = crop.head_square(points[None], (500, 300))
    x, y, _ = crop.to_square(points, square, (500, 300))[0] * 64
    assert crop.cut(image, square, 64)[int(y), int(x)].min() > 200


def test_stored_video_is_lossless(built):
    frames = read_video(built[0] / "driving" / "anna.mkv")
    assert frames.shape == (6, 96, 96, 3)
