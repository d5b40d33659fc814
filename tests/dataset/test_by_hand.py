import json
import re
import shlex

import numpy as np
import pytest

from emojibench.dataset.by_hand import clicking_page, place
from emojibench.dataset.heads import cut_head
from emojibench.dataset.sources import find_sources, manual_landmarks
from emojibench.errors import UserError
from emojibench.face.template import NAMED
from emojibench.media import PICTURES, read_image, write_image

POINTS = "right-eye=120,140 left-eye=200,140; nose=160, 190\nMouth=160,230"


@pytest.fixture
def cat(tmp_path):
    write_image(tmp_path / "cat.png", np.full((320, 340, 3), 90, np.uint8))
    return tmp_path / "cat.png"


def test_what_is_placed_is_what_build_reads(cat):
    file, overlay = place(cat, POINTS)
    landmarks = manual_landmarks(cat)
    pixels = landmarks[:, :2] * (340, 320)
    assert pixels[list(NAMED["right-eye"])].mean(axis=0) == pytest.approx((120, 140), abs=0.1)
    assert pixels[list(NAMED["mouth"])].mean(axis=0) == pytest.approx((160, 230), abs=0.1)
    assert cut_head(read_image(cat), 128, None, landmarks).notes[0] == "landmarks placed by hand"
    assert (read_image(overlay) != read_image(cat)).any()
    problems = {source.path: source.problem for source in find_sources(cat.parent, PICTURES)}
    assert problems == {
        "cat.png": "",
        "cat.landmarks.png": "drawn by `emojibench data landmarks`, to look at",
    }
    assert file == cat.with_suffix(".json")


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ("right-eye 120,140", "expected names and pixels, as 'right-eye=120,140 .*got 'right-eye 120,140'"),
        ("right-eye=1.2.3,140", "expected names and pixels"),
        (POINTS + " ear=1,2", "unknown point 'ear'"),
        (POINTS + " nose=1,2", "nose is given twice"),
        ("right-eye=120,140 nose=160,190", "left-eye, mouth missing; expected at least"),
        (POINTS.replace("120,140", "-5,140"), "right-eye=-5,140 lies outside the picture of 340x320 pixels"),
        (POINTS.replace("120,140", "300,140"), "they give no face: flipped; right is the person's own"),
        ("right-eye=120,140 left-eye=120,140 nose=160,190 mouth=160,230", "they give no face: flipped"),
    ],
)
def test_points_that_give_no_face_are_refused(cat, points, message):
    with pytest.raises(UserError, match=rf"^--points: {message}"):
        place(cat, points)
    assert [file.name for file in cat.parent.iterdir()] == ["cat.png"]


def test_landmarks_that_are_there_are_not_replaced_unasked(cat):
    file, _ = place(cat, POINTS)
    before = file.read_text()
    with pytest.raises(UserError, match=r"cat\.json: already there; replace it with --overwrite"):
        place(cat, POINTS)
    place(cat, POINTS.replace("230", "235"), overwrite=True)
    assert file.read_text() != before
    cat.with_suffix(".npz").touch()
    with pytest.raises(UserError, match=r"cat\.npz: already there; it comes first: remove it"):
        place(cat, POINTS, overwrite=True)


def test_the_page_holds_the_picture_the_names_and_the_command(cat):
    page = clicking_page(cat).read_text()
    assert "data:image/png;base64,iVBOR" in page
    assert f"emojibench data landmarks {cat} --points " in page
    assert not re.search("PICTURE|NAMES|NEEDED|COMMAND", page)
    assert all(f'"{name}"' in page for name in NAMED)
    named = cat.rename(cat.with_name("d'Artagnan; ls.png"))
    (command,) = re.findall(r'"emojibench data landmarks .*?--points "', clicking_page(named).read_text())
    assert shlex.split(json.loads(command)) == ["emojibench", "data", "landmarks", str(named), "--points"]
