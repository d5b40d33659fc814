"""What a face does, read off landmarks: against a template that was turned and bent by known amounts."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from emojibench.face.measures import measure
from emojibench.face.points import (
    INNER_LIP_MIDDLES,
    LEFT_EYELIDS,
    LEFT_PUPIL,
    MOUTH_CORNERS,
    RIGHT_EYELIDS,
    RIGHT_PUPIL,
)
from emojibench.face.template import template


def seen(points, *, turn=(0.0, 0.0, 0.0), size=(256, 256), scale=90.0):
    """Normalised landmarks (1, 478, 3) of a face turned by (yaw, pitch, roll) degrees, in pictures of any shape."""
    yaw, pitch, roll = turn
    turned = Rotation.from_euler("YXZ", (-yaw, -pitch, roll), degrees=True).apply(points)
    pixels = turned * scale + (size[0] / 2, size[1] / 2, 0)
    return (pixels / (size[0], size[1], size[0]))[None]


@pytest.mark.parametrize("turn", [(0, 0, 0), (30, 0, 0), (-45, 0, 0), (0, 12, 0), (0, 0, -20), (25, -10, 15)])
@pytest.mark.parametrize(("size", "scale"), [((256, 256), 90.0), ((1280, 720), 33.0)])
def test_angles_are_those_of_the_head_in_pictures_of_any_size(turn, size, scale):
    found = measure(seen(template(), turn=turn, size=size, scale=scale), size)
    assert (found.yaw[0], found.pitch[0], found.roll[0]) == pytest.approx(turn, abs=0.5)


@pytest.mark.parametrize("turn", [(0, 0, 0), (30, 5, 10)])
def test_expressions_are_told_whatever_the_head_does(turn):
    def of(points):
        return measure(seen(points, turn=turn), (256, 256))

    rest = of(template())
    assert not (rest.mouth_open | rest.smile | rest.eyes_closed).any()
    jaw = template().copy()
    jaw[INNER_LIP_MIDDLES[1], 1] += 0.1
    assert of(jaw).mouth_open.all()
    assert of(jaw).mouth_opening == pytest.approx(np.array([0.1]), abs=0.01)
    corners = template().copy()
    corners[list(MOUTH_CORNERS), 1] -= 0.1
    assert of(corners).smile.all()
    lids = template().copy()
    for upper, lower in (RIGHT_EYELIDS, LEFT_EYELIDS):
        lids[upper] = lids[lower]
    assert of(lids).eyes_closed.all()
    wink = template().copy()
    wink[RIGHT_EYELIDS[0]] = wink[RIGHT_EYELIDS[1]]
    assert not of(wink).eyes_closed.any()
    aside = template().copy()
    aside[[RIGHT_PUPIL, LEFT_PUPIL], 0] += 0.05
    assert of(aside).gaze_x > rest.gaze_x + 0.2
