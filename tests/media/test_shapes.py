"""Frames come out upright, of square pixels, progressive, from the right stream."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from foreign import encode, head
from PIL import Image as Pillow

from emojibench.errors import MediaError
from emojibench.media import read_video, video_info

ONE = 1 << 16


def quadrants():
    """Four greys, so that every turn and mirror image differs."""
    frame = np.zeros((48, 64, 3), np.uint8)
    frame[:24, :32], frame[:24, 32:], frame[24:, :32], frame[24:, 32:] = 20, 80, 140, 200
    return frame


@pytest.mark.parametrize(
    ("abcd", "shown"),
    [
        ((1, 0, 0, 1), lambda p: p),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((-1, 0, 0, -1), lambda p: p[::-1, ::-1]),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda p: p[::-1, ::-1].swapaxes(0, 1)),
    ],
)
def test_the_whole_display_matrix_counts(tmp_path, abcd, shown):
    a, b, c, d = (ONE * value for value in abcd)
    path = encode(
        tmp_path / "turned.mp4",
        [quadrants()] * 3,
        codec="libx264rgb",
        pixels="rgb24",
        options={"qp": "0"},
        matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30),
    )
    expected = shown(quadrants())
    assert np.array_equal(read_video(path)[0], expected)
    assert (video_info(path).height, video_info(path).width) == expected.shape[:2]


def test_other_turns_are_refused(tmp_path):
    c, s = round(ONE * 0.866), round(ONE * 0.5)
    path = encode(tmp_path / "tilted.mp4", head(3), matrix=(c, s, 0, -s, c, 0, 0, 0, 1 << 30))
    with pytest.raises(MediaError, match=r"tilted.mp4: its display matrix asks for more than quarter turns"):
        read_video(path)


@pytest.mark.parametrize(
    ("ratio", "size"), [(Fraction(2), (128, 64)), (Fraction(1, 2), (64, 128)), (Fraction(241, 240), (64, 64))]
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_pixels_become_square(tmp_path, ratio, size, suffix):
    path = encode(tmp_path / f"wide.{suffix}", head(3), sample_aspect_ratio=ratio)
    frame = read_video(path)[0]
    assert (frame.shape[1], frame.shape[0]) == size
    assert (video_info(path).width, video_info(path).height) == size
    assert bool(video_info(path).notes) == (size != (64, 64))


def combed(codec, path, **how):
    """Each frame's odd lines come from a later moment."""
    bars = [np.roll(np.tile(np.arange(64) // 8 % 2 * 200, (64, 1)), 5 * k, axis=1) for k in range(24)]
    fields = [np.where(np.arange(64)[:, None] % 2, bars[2 * k + 1], bars[2 * k]) for k in range(12)]
    return encode(
        path, [np.repeat(f[..., None], 3, axis=2).astype(np.uint8) for f in fields], codec=codec, **how
    )


@pytest.mark.parametrize(
    ("codec", "suffix", "how"),
    [
        ("libx264", "mp4", {"options": {"x264opts": "tff=1", "qp": "2"}}),
        ("ffv1", "mkv", {"pixels": "yuv420p", "field_order": 2}),
        ("mjpeg", "mov", {"pixels": "yuvj420p", "field_order": 2}),
    ],
)
def test_interlaced_video_is_deinterlaced(tmp_path, codec, suffix, how):
    path = combed(codec, tmp_path / f"tv.{suffix}", **how)
    frames = read_video(path).astype(int)
    assert len(frames) == 12
    assert video_info(path).notes[0] == "interlaced: deinterlaced by bwdif"
    steps = np.abs(np.diff(frames[4:8], axis=1))
    assert steps.mean() < 10  # neighbouring lines differ by 62 on average when combed


def test_attached_pictures_are_no_video(tmp_path):
    """An MP4 whose cover (`udta`) comes before its tracks, as iTunes writes it."""
    data = encode(tmp_path / "video.mp4", head(5)).read_bytes()
    jpeg = io.BytesIO()
    Pillow.new("RGB", (32, 32)).save(jpeg, "jpeg")
    cover = box(b"covr", box(b"data", struct.pack(">II", 13, 0) + jpeg.getvalue()))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    udta = box(b"udta", box(b"meta", bytes(4) + handler + box(b"ilst", cover)))
    start = data.index(b"moov") - 4
    (length,) = struct.unpack(">I", data[start : start + 4])
    header = start + 8 + struct.unpack(">I", data[start + 8 : start + 12])[0]
    moov = box(b"moov", data[start + 8 : header] + udta + data[header : start + length])
    assert data.index(b"mdat") < start  # so that no offset changes
    (tmp_path / "both.mp4").write_bytes(data[:start] + moov + data[start + length :])
    with av.open(str(tmp_path / "both.mp4")) as container:
        assert [stream.codec_context.name for stream in container.streams.video] == ["mjpeg", "h264"]
    assert read_video(tmp_path / "both.mp4").shape == (5, 64, 64, 3)


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def test_a_size_that_changes_on_the_way_is_refused(tmp_path):
    first, second = (
        encode(tmp_path / f"{side}.avi", head(5, side), codec="mjpeg", pixels="yuvj420p") for side in (64, 48)
    )
    data = first.read_bytes()
    small = second.read_bytes()
    jpeg = small[small.index(b"\xff\xd8") : small.index(b"\xff\xd9") + 2]
    where = [k for k in range(len(data)) if data.startswith(b"00dc", k)][3]
    (length,) = struct.unpack("<I", data[where + 4 : where + 8])
    assert len(jpeg) <= length
    path = tmp_path / "changing.avi"
    path.write_bytes(data[: where + 8] + jpeg.ljust(length, b"\0") + data[where + 8 + length :])
    with pytest.raises(MediaError, match=r"changing.avi: frame 2 has 48x48 pixels, those before 64x64"):
        read_video(path)
