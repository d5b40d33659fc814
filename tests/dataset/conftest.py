"""A user's portraits and driving videos, made by the embedded renderer, and the dataset built from them."""

import os
import shutil

import av
import numpy as np
import pytest
from PIL import Image

from emojibench.dataset.building import build
from emojibench.face.template import template
from emojibench.media import write_image, write_lossless, write_preview
from emojibench.synth.render import render
from emojibench.synth.sequences import sequences

FRAMES = 6
SIZE = 96


@pytest.fixture(scope="session")
def faces():
    """(3, 12, 200, 200, 3): three subjects, twelve frames each."""
    chosen = sequences("mini")[:3]
    return np.stack([[render(s.identity, s.motion.at(k), 200) for k in range(12)] for s in chosen])


def remuxed(video, other, title):
    """The same packets in another container, with a title."""
    with av.open(video) as source, av.open(other, "w") as target:
        target.metadata["title"] = title
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)


@pytest.fixture(scope="session")
def user_files(tmp_path_factory, faces):
    """Good files and one of each kind of trouble."""
    root = tmp_path_factory.mktemp("user")
    pictures, videos = root / "portraits", root / "driving"
    wide = np.pad(faces[0, 0], ((10, 20), (60, 90), (0, 0)), mode="edge")
    write_image(pictures / "wide.png", wide)
    write_image(pictures / "cartoon" / "drawn one.png", faces[1, 0])
    Image.fromarray(faces[2, 0]).convert("L").save(pictures / "grey.png")
    blank = np.full((120, 120, 3), 90, np.uint8)
    write_image(pictures / "nobody.png", blank)
    write_image(pictures / "by_hand.png", blank)
    points = (template() / 5 + (0.5, 0.4, 0)).astype(np.float32)
    np.savez(pictures / "by_hand.npz", landmarks=points)
    shutil.copy(pictures / "wide.png", pictures / "wide_again.png")
    write_image(pictures / "hurt.png", faces[1, 5])
    damaged = (pictures / "by_hand.npz").read_bytes()
    (pictures / "hurt.npz").write_bytes(damaged[:200] + bytes(50) + damaged[250:])
    shutil.copy(pictures / "grey.png", os.fsencode(pictures) + b"/na\xefve.png")
    write_image(pictures / "anna.frame0.png", faces[2, 6])
    (pictures / "notes.txt").write_text("not a picture")
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")

    write_lossless(videos / "anna.mkv", faces[0], 25)
    write_preview(videos / "ben.mp4", np.repeat(faces[1], 2, axis=0), 50)
    patchy = faces[2, :8].copy()
    patchy[3:7] = 0
    write_lossless(videos / "patchy.mkv", patchy, 25)
    write_lossless(videos / "late.mkv", np.concatenate([np.zeros_like(faces[2, :4]), faces[2]]), 25)
    write_lossless(videos / "short.mkv", faces[0, 3:6], 25)
    write_lossless(videos / "slow.mkv", faces[0, 2:10], 5)
    whole = (videos / "anna.mkv").read_bytes()
    (videos / "cut.mkv").write_bytes(whole[: len(whole) * 3 // 4])
    write_lossless(videos / "dark.mkv", np.zeros((8, 64, 64, 3), np.uint8), 25)
    remuxed(videos / "ben.mp4", videos / "twin.mov", "twin")
    remuxed(videos / "anna.mkv", videos / "titled.mkv", "na__ve")
    titled = (videos / "titled.mkv").read_bytes()
    (videos / "titled.mkv").write_bytes(titled.replace(b"na__ve", "na\xef\xefve".encode("latin-1")))
    (videos / "motion.npy").write_bytes(b"landmarks only")
    table = "file,subject,domain\nwide.png,anna,realistic\nanna.mkv,anna,realistic\n"
    (root / "subjects.csv").write_text(table)
    return root


@pytest.fixture(scope="session")
def built(tmp_path_factory, user_files):
    """(folder, report) of the dataset built from `user_files`; do not change it, use `copy`."""
    folder = tmp_path_factory.mktemp("built") / "mine"
    report = build(
        user_files / "portraits",
        user_files / "driving",
        folder,
        licence="tests only",
        subjects=user_files / "subjects.csv",
        frames=FRAMES,
        size=SIZE,
        pairs_per_portrait=2,
        seed=7,
    )
    return folder, report


@pytest.fixture
def copy(tmp_path, built):
    """A copy of the built dataset that a test may break."""
    return shutil.copytree(built[0], tmp_path / "copy")
