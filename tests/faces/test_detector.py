import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from emojibench.errors import UserError
from emojibench.face import detector_id, open_detector
from emojibench.face import points as topology
from emojibench.face.person import person_mask
from emojibench.synth.render import render
from emojibench.synth.sequences import sequences

WEIGHTS = Path(__file__).parents[2] / "../shared/weights"
needs_task = pytest.mark.skipif(
    not (WEIGHTS / "landmarks").is_dir(), reason="face_landmarker.task is not in ../shared/weights"
)
BLANK = np.zeros((256, 256, 3), np.uint8)


@pytest.fixture(scope="module")
def video():
    """Four frames of a synthetic face, with a blank one in between."""
    sequence = sequences("mini")[0]
    faces = [render(sequence.identity, sequence.motion.at(k), 256) for k in (0, 8, 16, 24)]
    return np.stack([*faces[:2], BLANK, *faces[2:]])


@pytest.fixture(scope="module")
def bundled():
    with open_detector("bundled") as detector:
        yield detector


@pytest.fixture
def task(monkeypatch):
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(WEIGHTS.resolve()))
    with open_detector("task") as detector:
        yield detector


def test_landmarks_lie_on_the_face(bundled, video):
    points = bundled.detect(video[0])
    assert points.shape == (478, 3)
    assert points.dtype == np.float32
    right, left = points[list(topology.RIGHT_EYE)].mean(0), points[list(topology.LEFT_EYE)].mean(0)
    mouth = points[list(topology.OUTER_LIPS)].mean(0)
    assert right[0] < left[0]  # the subject's right is on the picture's left
    assert mouth[1] > max(right[1], left[1])
    assert points[topology.NOSE_TIP, 2] < points[list(topology.OVAL), 2].mean()  # nearer to the camera


def test_all_faces_are_read_the_most_prominent_first(bundled, video):
    both = np.concatenate([video[0], np.pad(video[1, 32:-32, 32:-32], ((32, 32), (32, 32), (0, 0)))], axis=1)
    one, other = sorted((face.landmarks for face in bundled.read_all(both)), key=lambda face: face[0, 0])
    assert one[:, 0].mean() < 0.5 < other[:, 0].mean()
    assert np.array_equal(bundled.read_all(both)[0].landmarks, bundled.read(both).landmarks)
    assert np.array_equal(bundled.read_all(video[0])[0].landmarks, bundled.detect(video[0]))
    assert bundled.read_all(BLANK) == []


def test_a_person_is_told_from_the_background(video):
    mask = person_mask(video[0])
    assert mask[90:166, 90:166].all()
    assert not mask[:20].any()


def test_no_face_is_none_and_nan(bundled, video):
    assert bundled.detect(BLANK) is None
    driving = bundled.detect_video(iter(video), fps=25)
    assert driving.detected.tolist() == [True, True, False, True, True]
    assert np.isnan(driving.landmarks[2]).all()
    assert driving.size == (256, 256)
    assert driving.detector == bundled.id
    assert driving.transforms is None


def test_frames_do_not_depend_on_each_other(bundled, video):
    forward = bundled.detect_video(video, fps=25).landmarks
    backward = bundled.detect_video(video[::-1], fps=25).landmarks
    assert np.array_equal(forward, backward[::-1], equal_nan=True)
    assert np.array_equal(forward[0], bundled.detect(video[0]))


def test_frames_that_repeat_the_one_before_are_looked_at_once(bundled, video, monkeypatch):
    looked_at, read = [], bundled.read
    monkeypatch.setattr(bundled, "read", lambda frame: (looked_at.append(frame.copy()), read(frame))[1])
    frame = np.empty_like(BLANK)

    def into_one_buffer():
        for index in (2, 2, 0, 0, 0, 1, 0):
            frame[...] = video[index]
            yield frame

    landmarks = bundled.detect_video(into_one_buffer(), fps=25).landmarks
    assert np.array_equal(looked_at, video[[2, 0, 1, 0]])
    assert np.array_equal(
        landmarks, bundled.detect_video(video[[2, 2, 0, 0, 0, 1, 0]], fps=25).landmarks, equal_nan=True
    )
    assert np.array_equal(landmarks[3], read(video[0]).landmarks)


def test_an_id_opens_the_very_same_detector(bundled):
    assert detector_id("bundled") == bundled.id
    assert detector_id(bundled.id) == bundled.id
    assert bundled.id.startswith("mediapipe-facemesh-")
    with open_detector(bundled.id) as again:
        assert again.id == bundled.id


def test_unknown_detectors_are_refused_with_help():
    with pytest.raises(UserError, match="Did you mean 'bundled'"):
        open_detector("bundeld")
    with pytest.raises(UserError, match=r"mediapipe-facemesh-9.9-00000000 is not on this machine, which has"):
        open_detector("mediapipe-facemesh-9.9-00000000")
    with pytest.raises(UserError, match="no frames"), open_detector() as detector:
        detector.detect_video([], fps=25)


def test_a_wheel_without_models_is_explained(monkeypatch):
    monkeypatch.setattr("emojibench.face.detect._bundled_files", list)
    with pytest.raises(UserError, match=r"carries no face-mesh models; install mediapipe==0.10.21"):
        open_detector("bundled")


@needs_task
def test_the_task_file_gives_the_same_points_and_more(task, bundled, video):
    assert task.id.endswith("-64184e22")
    assert detector_id(task.id) == task.id
    one, other = task.detect_video(video, fps=25), bundled.detect_video(video, fps=25)
    assert np.array_equal(one.detected, other.detected)
    seen = one.detected
    assert np.linalg.det(one.transforms[seen][:, :3, :3]) == pytest.approx(1, abs=1e-3)
    assert np.isnan(one.transforms[~seen]).all()
    assert one.blendshapes.shape == (5, 52)
    assert 0 <= np.nanmin(one.blendshapes) <= np.nanmax(one.blendshapes) <= 1
    eyes = np.linalg.norm(other.landmarks[seen, 33, :2] - other.landmarks[seen, 263, :2], axis=-1)
    apart = np.linalg.norm((one.landmarks - other.landmarks)[seen, :, :2], axis=-1).mean(1) / eyes
    assert apart.max() < 0.06


@needs_task
def test_auto_takes_the_task_where_the_wheel_has_no_models(monkeypatch):
    monkeypatch.setenv("EMOJIBENCH_WEIGHTS", str(WEIGHTS.resolve()))
    monkeypatch.setattr("emojibench.face.detect._bundled_files", list)
    assert detector_id("auto").startswith("mediapipe-facelandmarker-")


def test_mediapipe_stays_silent():
    script = (
        "import numpy as np\n"
        "from emojibench.face import open_detector\n"
        "from emojibench.synth.render import render\n"
        "from emojibench.synth.sequences import sequences\n"
        "s = sequences('mini')[0]\n"
        "d = open_detector()\n"
        "assert d.detect(render(s.identity, s.motion.at(0), 256)) is not None\n"
        "assert d.detect(np.zeros((100, 300, 3), np.uint8)) is None\n"
    )
    done = subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
