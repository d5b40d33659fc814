import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emojibench.face import points as topology
from emojibench.face.template import NAMED, NEEDED, fit, flaw_of, template

SIZE = (640, 480)


def seen(yaw=0, pitch=0, roll=0, scale=120):
    """The template as pixels (478, 3), turned by degrees."""
    turned = Rotation.from_euler("zyx", (roll, yaw, pitch), degrees=True).apply(template())
    return turned * scale + (320, 200, 0)


def normalised(pixels):
    return (pixels / (*SIZE, SIZE[0])).astype(np.float32)


def marked(pixels, names=NAMED):
    return {name: tuple(pixels[list(NAMED[name]), :2].mean(axis=0)) for name in names}


@pytest.mark.parametrize("pose", [{}, {"roll": 30}, {"yaw": 30, "pitch": -15}, {"roll": -160, "yaw": -25}])
@pytest.mark.parametrize("names", [NEEDED, NAMED])
def test_a_few_points_give_back_the_face(pose, names):
    face = seen(**pose)
    found = fit(marked(face, names), SIZE) * (*SIZE, SIZE[0])
    apart = np.linalg.norm((found - face)[:, :2], axis=1) / 120
    assert apart.mean() < 0.05  # eye distances
    assert flaw_of(normalised(found)) == ""


def test_marked_points_are_met_where_a_face_is_unlike_the_template():
    """A cat: eyes far apart, nose and mouth close together and low."""
    cat = {
        "right-eye": (200, 200),
        "left-eye": (440, 210),
        "nose": (318, 290),
        "mouth": (320, 330),
        "chin": (320, 370),
    }
    found = fit(cat, SIZE) * (*SIZE, SIZE[0])
    for name, place in cat.items():
        assert found[list(NAMED[name]), :2].mean(axis=0) == pytest.approx(place, abs=12)


def bent(change):
    face = seen()
    change(face)
    return normalised(face)


def swap(face, one, other):
    face[list(one)], face[list(other)] = face[list(other)], face[list(one)].copy()


def folded(face):
    face[:, 1] = 200 + np.abs(face[:, 1] - 200)


def halved(face):
    face[:, 0] = 320 + np.abs(face[:, 0] - 320)


def flipped(face):
    face[:, 0] = 640 - face[:, 0]


def upside_down(face):
    face[:, 1] = 480 - face[:, 1]


def lips_reversed(face):
    lips = list(topology.OUTER_LIPS)
    face[lips] = face[lips[::-1]]


def far_away(face):
    face[:, 0] += 600


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        (folded, "folded or out of order"),
        (halved, "folded: both eyes lie in one place"),
        (flipped, "flipped"),
        (upside_down, "flipped"),
        (lips_reversed, "folded: the points of the lips run the wrong way round"),
        (
            lambda face: swap(face, topology.RIGHT_EYE, topology.LEFT_EYE),
            "folded: the points of the right eye",
        ),
        (lambda face: np.random.default_rng(0).shuffle(face), "folded or out of order"),
        (far_away, "outside the picture"),
        (lambda face: face.__imul__((1, 0, 1)), "all points lie on one line"),
        (lambda face: face.__imul__(0), "all points lie in one place"),
    ],
)
def test_what_is_no_face_is_told(change, flaw):
    assert flaw_of(bent(change)).startswith(flaw)


@pytest.mark.parametrize(
    "pose", [{}, {"yaw": 75}, {"pitch": 50}, {"roll": 180}, {"yaw": -60, "pitch": 30, "roll": 90}]
)
def test_turned_heads_are_faces(pose):
    assert flaw_of(normalised(seen(**pose))) == ""
