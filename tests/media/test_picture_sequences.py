"""Folders of numbered pictures stand for videos."""

import numpy as np
import pytest

from emojibench.errors import MediaError
from emojibench.media import is_picture_sequence, numbered_pictures, read_video, video_info, write_image


def folder_of(tmp_path, *names):
    for number, name in enumerate(names):
        write_image(tmp_path / "pictures" / name, np.full((4, 6, 3), number, np.uint8))
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    "names",
    [
        ("0.png", "1.PNG", "2.png", "10.png", "100.png"),
        ("frame_8.png", "frame_9.png", "frame_10.png"),
        ("s1_v2_008.png", "s1_v2_009.png", "s1_v2_010.png"),
        ("00-00-01.png", "00-00-59.png", "00-01-00.png"),
        ("0.033.png", "0.066.png", "0.100.png", "1.000.png"),
    ],
)
def test_pictures_come_in_the_order_of_their_numbers(tmp_path, names):
    folder = folder_of(tmp_path, *names)
    (folder / "._0000.png").write_bytes(b"what macOS leaves")
    (folder / "notes.txt").touch()
    assert [path.name for path in numbered_pictures(folder)] == list(names)
    assert read_video(folder)[:, 0, 0, 0].tolist() == list(range(len(names)))
    info = video_info(folder)
    assert (info.width, info.height, info.fps, info.frames) == (6, 4, 0.0, len(names))
    assert is_picture_sequence(folder)


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("0.png", "0.033.png", "0.1.png"), "no certain order of"),
        (("0.033.png", "0.1.png", "0.066.png"), "several numbers"),
        (("1.5.png", "1.10.png"), "several numbers"),
        (("s1_f2.png", "s1_f10.png", "s2_f1.png"), "several numbers"),
        (("1.png", "01.png"), "have the same number"),
        (("1.png", "2.png", "cover.png"), "no certain order of"),
        (("a.png", "b.png"), "no certain order of"),
        ((), "holds no pictures"),
    ],
)
def test_an_order_that_is_not_certain_is_refused(tmp_path, names, why):
    folder = folder_of(tmp_path, *names)
    folder.mkdir(exist_ok=True)
    with pytest.raises(MediaError, match=why):
        read_video(folder)


def test_pictures_of_another_size_are_named(tmp_path):
    folder = folder_of(tmp_path, "1.png", "2.png")
    write_image(folder / "3.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(MediaError, match=r"3.png: expected 6x4 pixels like the first picture, got 4x4"):
        read_video(folder)


def test_a_folder_with_videos_or_folders_is_no_sequence(tmp_path):
    folder = folder_of(tmp_path, "1.png", "2.png")
    (folder / "more").mkdir()
    assert not is_picture_sequence(folder)
    assert not is_picture_sequence(tmp_path)
    (folder / "more").rmdir()
    (folder / "clip.mp4").touch()
    assert not is_picture_sequence(folder)
