from itertools import pairwise

import numpy as np
import pytest
from blobs import BlobDetector, picture
from hypothesis import given
from hypothesis import strategies as st

from emojibench.dataset.motion import HARDLY, motion_of
from emojibench.dataset.windows import WindowPlan, cut_windows
from emojibench.face.driving import DrivingSequence


def windows(video, detector=None, *, size=64, **plan):
    plan = {"first": 0, "stride": 1, "length": len(video), "windows": 1, "seed": "", **plan}
    detector = detector or BlobDetector()
    cut = cut_windows(lambda: iter(video), WindowPlan.of(len(video), **plan), size, detector, every=5)
    return [window for _, window in cut]


class Fickle(BlobDetector):
    """Its most prominent face is now the left one, now the right one."""

    def read_all(self, image):
        self.order = -self.order
        return super().read_all(image)


def test_one_of_two_faces_is_followed():
    """The larger one, on the right, moves left; the other one is always to its left."""
    boxes = [((20, 60, 70), (260 - 5 * k, 60, 90)) for k in range(12)]
    (window,) = windows([picture(400, 200, *both) for both in boxes], Fickle(least=0.1))
    driving = window.driving(25, "blobs")
    assert driving.detected.all()
    steps = np.diff(driving.landmarks[:, 0, 0])
    assert (steps < 0).all()
    assert (np.abs(steps) < 0.1).all()
    assert "2 faces; one is followed, the largest at first" in window.notes


def test_a_face_that_goes_away_is_not_replaced_by_another():
    video = [picture(400, 200, (20, 60, 70), *([(280, 60, 90)] if k < 5 else [])) for k in range(10)]
    (window,) = windows(video, BlobDetector(least=0.1))
    assert window.driving(25, "blobs").detected.tolist() == [True] * 5 + [False] * 5


def test_frames_on_which_the_detector_takes_the_other_face_are_counted():
    video = [picture(300, 200, (135 if k < 5 else 125, 60, 60), (200, 60, 70)) for k in range(10)]
    (window,) = windows(video, BlobDetector(least=0.1))
    assert window.strays.all()


def test_a_small_face_is_searched_once_in_a_while_and_then_followed():
    video = [picture(1280, 720, *([(900, 50, 70)] if k > 3 else [])) for k in range(12)]
    (window,) = windows(video, length=6, size=256)
    assert window.notes == ["frames 5 to 10", "enlarged: the head is 133 pixels wide"]  # searched on 0, 5, 10
    assert window.driving(25, "blobs").detected.all()
    (reason,) = windows([picture(100, 100)] * 7, length=6)
    assert reason.startswith("no face in any of its 7 frames, nor on enlarged parts of some; crop closer")


@given(
    count=st.integers(0, 400),
    first=st.integers(0, 100),
    stride=st.integers(1, 3),
    length=st.integers(2, 40),
    number=st.integers(1, 9),
)
def test_windows_are_disjoint_and_as_many_as_fit(count, first, stride, length, number):
    plan = WindowPlan.of(count, first=first, stride=stride, length=length, windows=number, seed="7:anna")
    assert plan == WindowPlan.of(
        count, first=first, stride=stride, length=length, windows=number, seed="7:anna"
    )
    assert len(plan.sections) == max(1, min(number, (count - first) // (stride * length)))
    if len(plan.sections) > 1:
        edges = [edge for section in plan.sections for edge in section]
        assert edges == sorted(edges)
        assert edges[0] >= first
        assert edges[-1] == count
        assert all(end - begin >= stride * length for begin, end in plan.sections)


def test_another_seed_lays_windows_elsewhere():
    one, other = (
        WindowPlan.of(900, first=0, stride=1, length=64, windows=4, seed=s).sections for s in ("0:a", "1:a")
    )
    assert one != other


def test_every_window_is_cut_from_its_own_frames():
    video = [picture(200, 200, (40 + k, 60, 80)) for k in range(40)]
    cut = windows(video, length=6, windows=3)
    spans = [tuple(map(int, window.notes[0].split()[1::2])) for window in cut]
    assert len(spans) == 3
    assert all(last - first == 5 for first, last in spans)
    assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_start_after_the_end_is_said():
    assert windows([picture(100, 100)] * 5, first=9) == ["its 5 frames end before --start"]


def test_motion_by_hand():
    """All points go 20 pixels to the right at half-time; the eyes are 100 pixels apart: 10 from the mean."""
    points = np.full((6, 478, 3), 0.5, np.float32)
    points[:, 33, 0], points[:, 263, 0] = 0.25, 0.75
    points[3:, :, 0] += 0.1
    points[5] = np.nan
    points[2] = np.nan

    def figure(landmarks):
        return motion_of(DrivingSequence(landmarks=landmarks, fps=25, size=(200, 100), detector=""))

    assert figure(points) == pytest.approx(0.1)
    assert figure(points[:2]) == 0 < HARDLY
    assert figure(points[1:3]) is None
