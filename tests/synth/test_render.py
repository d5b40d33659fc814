"""The pictures: same seed same bytes, and parameters that do what they are called."""

import hashlib
import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from emojibench.synth import render as module
from emojibench.synth.eyes import lid_gap
from emojibench.synth.identity import (
    BACKGROUNDS,
    BEARDS,
    DOMAINS,
    GLASSES,
    HAIR_STYLES,
    MATERIALS,
    SPECIES,
    STONES,
    sample_identity,
)
from emojibench.synth.motion import NEUTRAL
from emojibench.synth.mouth import lip_gap
from emojibench.synth.render import render
from emojibench.synth.sequences import sequences

# Mean colour of each cell of a 4 x 4 grid over frame 0 of the four `mini` sequences, to the nearest level: it holds
# across library versions, which may move single pixels.
GOLDEN_CELLS: dict[str, list[int]] = {
    "realistic": [157, 143, 141, 153, 159, 163, 123, 155, 161, 149, 110, 157, 155, 128, 113, 146],
    "cartoon": [150, 160, 134, 92, 178, 176, 176, 96, 149, 168, 168, 92, 100, 116, 116, 86],
    "sculpture": [60, 80, 65, 63, 101, 124, 84, 77, 87, 100, 69, 93, 109, 119, 102, 96],
    "animal": [118, 146, 136, 116, 116, 173, 160, 117, 119, 159, 148, 119, 129, 154, 150, 124],
}  # fmt: skip


def test_the_renderer_draws_what_it_drew_when_datasets_got_their_digests():
    """Or `emojibench.dataset.embedded.PIXELS` has to change, and with it every dataset's digest."""
    kept = np.load(Path(__file__).with_name("frames.npz"), allow_pickle=False)["frames"]
    for i, before in enumerate(kept):
        sequence = sequences("synth")[13 * i]
        frame = render(sequence.identity, sequence.motion.at((13 * i + 5) % 64))
        now = frame.reshape(64, 4, 64, 4, 3).astype(np.float32).mean((1, 3))
        # Half a level is the rounding of what is kept; a processor may round a pixel's light the other way.
        assert np.abs(now - before).max() < 1.0
        assert np.abs(now.mean() - before.mean()) < 0.02


def test_every_style_is_drawn_as_it_was():
    """As above, for a frame of each kind, hair style, beard, glasses, collar and background, in cells of 16 x 16."""
    with np.load(Path(__file__).with_name("thumbnails.npz"), allow_pickle=False) as kept:
        chosen, pictures = kept["sequences"].tolist(), kept["pictures"].astype(np.float32)
    known = sequences("synth")
    people = [known[i].identity for i in chosen]
    assert {p.kind for p in people} == {"realistic", "cartoon", *MATERIALS, *SPECIES}
    assert {p.hair_style for p in people if p.domain != "animal"} == set(HAIR_STYLES)
    assert {p.background for p in people} == set(BACKGROUNDS)
    for i, before in zip(chosen, pictures, strict=True):
        frame = render(known[i].identity, known[i].motion.at((7 * i + 5) % 64))
        now = frame.reshape(16, 16, 16, 16, 3).astype(np.float32).mean((1, 3))
        assert np.abs(now - before).max() < 0.3, (
            i
        )  # float16 keeps .06; the rest is for pixels rounded the other way


def digest(frame):
    return hashlib.sha256(frame.tobytes()).hexdigest()


def cells(frame):
    return (
        cv2.resize(frame, (4, 4), interpolation=cv2.INTER_AREA)
        .mean(axis=2)
        .round()
        .astype(int)
        .ravel()
        .tolist()
    )


def test_same_seed_same_bytes_here_and_in_another_process():
    sequence = sequences("mini")[0]
    here = digest(render(sequence.identity, sequence.motion.at(17)))
    module._prepared.cache_clear()
    assert digest(render(sequence.identity, sequence.motion.at(17))) == here
    code = (
        "import hashlib; from emojibench.synth.sequences import sequences, render;"
        "s = sequences('mini')[0];"
        "print(hashlib.sha256(render(s.identity, s.motion.at(17)).tobytes()).hexdigest())"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert there == here


def test_a_frame_does_not_depend_on_what_was_drawn_before():
    identity = sample_identity(5, "realistic")
    first = render(identity, NEUTRAL, 128)
    render(identity, replace(NEUTRAL, mouth_open=1.0, blink_left=1.0, yaw=30.0), 128)
    np.testing.assert_array_equal(render(identity, NEUTRAL, 128), first)


@pytest.mark.parametrize("index", range(4))
def test_the_look_is_the_one_that_was_frozen(index):
    sequence = sequences("mini")[index]
    now = cells(render(sequence.identity, sequence.motion.at(0)))
    np.testing.assert_allclose(now, GOLDEN_CELLS[sequence.domain], atol=2)


@pytest.mark.parametrize("domain", DOMAINS)
def test_opening_the_mouth_darkens_it(domain):
    identity = sample_identity(8, domain)
    frames = [render(identity, replace(NEUTRAL, mouth_open=v)) for v in (0.0, 0.4, 1.0)]
    middle = [f[158:190, 118:138].mean() for f in frames]
    dark = [(f[150:200, 108:148].max(axis=2) < 70).sum() for f in frames]
    assert middle[0] > middle[2]
    assert dark[0] < dark[1] < dark[2]


@pytest.mark.parametrize("domain", DOMAINS)
def test_yaw_moves_the_middle_of_the_face_to_its_side(domain):
    identity = replace(sample_identity(9, domain), glasses="none")
    layout = module._prepared(identity, 256)._layout
    tip = int(np.argmax(layout.vertices[: 46 * 61, 2]))
    places = []
    for yaw in (-35.0, 0.0, 35.0):
        state = replace(NEUTRAL, yaw=yaw)
        turned = module.pose(layout.vertices, np.ones(len(layout.vertices)), state)
        places.append(float(module._prepared(identity, 256)._project(turned, state, 256)[tip, 0]))
    assert places[0] < places[1] - 15 < places[1] + 15 < places[2]
    straight, turned_right = render(identity, NEUTRAL), render(identity, replace(NEUTRAL, yaw=35.0))
    assert np.abs(straight.astype(int) - turned_right).mean() > 5


def test_each_parameter_changes_the_picture():
    identity = replace(sample_identity(3, "realistic"), glasses="none", beard="none")
    base = render(identity, replace(NEUTRAL, mouth_open=0.3)).astype(int)
    for name in NEUTRAL.__dataclass_fields__:
        value = (
            1.08
            if name == "scale"
            else 8.0
            if name in ("yaw", "pitch", "roll")
            else 0.05
            if name in ("tx", "ty")
            else 0.8
        )
        state = replace(NEUTRAL, **{"mouth_open": 0.3, name: value})
        assert np.abs(render(identity, state) - base).max() > 20, name


def test_translation_and_scale_are_in_fractions_of_the_picture():
    identity = sample_identity(4, "realistic")
    still, moved = (render(identity, replace(NEUTRAL, tx=tx)).astype(int) for tx in (0.0, 0.125))
    # 0.125 of 256 is 32 pixels: the face moves by just that.
    assert np.abs(still[90:170, 100:150] - moved[90:170, 132:182]).mean() < 2


def test_the_truth_about_lips_and_lids_is_monotone():
    identity = sample_identity(2, "cartoon")
    lips = [lip_gap(replace(NEUTRAL, mouth_open=v)) for v in np.linspace(0, 1, 11)]
    lids = [lid_gap(identity, float(v)) for v in np.linspace(-0.5, 1, 11)]
    assert lips[0] == 0
    assert (np.diff(lips) > 0).all()
    assert (np.diff(lids) <= 0).all()
    assert lids[-1] == 0


def test_neighbouring_frames_do_not_pop():
    for sequence in sequences("mini"):
        frames = [render(sequence.identity, sequence.motion.at(k), 128).astype(int) for k in range(24)]
        steps = [np.abs(b - a).mean() for a, b in itertools.pairwise(frames)]
        assert max(steps) < 16


def test_every_kind_of_identity_renders():
    base = sample_identity(1, "realistic")
    wanted = [replace(base, hair_style=h, beard=BEARDS[i % 5], glasses=GLASSES[i % 4], background=BACKGROUNDS[i % 8])
              for i, h in enumerate(HAIR_STYLES)]  # fmt: skip
    wanted += [replace(sample_identity(1, "animal"), kind=k) for k in SPECIES]
    wanted += [replace(sample_identity(1, "sculpture"), kind=k, skin=STONES[k]) for k in MATERIALS]
    pictures = [render(identity, NEUTRAL, 64) for identity in wanted]
    assert len({digest(p) for p in pictures}) == len(wanted)
    assert min(p.std() for p in pictures) > 15


@pytest.mark.parametrize("size", [16, 4096])
def test_a_size_out_of_range_is_refused(size):
    with pytest.raises(ValueError, match="between 32 and 2048"):
        render(sample_identity(1, "animal"), NEUTRAL, size)


def test_a_face_mesh_detector_finds_the_faces():
    mesh = pytest.importorskip("mediapipe.python.solutions.face_mesh")
    rng = np.random.Generator(np.random.PCG64(7))
    picks = rng.choice(500, 10, replace=False)
    chosen = sequences("synth")
    found = 0
    with mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as detector:
        for i in picks:
            for k in rng.integers(0, 64, 8):
                frame = render(chosen[i].identity, chosen[i].motion.at(int(k)))
                found += bool(detector.process(frame).multi_face_landmarks)
    assert found >= 78
