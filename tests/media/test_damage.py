"""Damage anywhere in a file is noticed; what is sound is read, whatever the codec."""

import random

import numpy as np
import pytest
from foreign import encode, head

from emojibench.errors import MediaError
from emojibench.media import read_video, video_info, write_lossless

CODECS = [
    ("libx264", "yuv420p", "mp4"),
    ("libx264", "yuv420p", "mkv"),
    ("libsvtav1", "yuv420p", "mp4"),
    ("libvpx-vp9", "yuv420p", "webm"),
    ("mpeg4", "yuv420p", "avi"),
    ("mpeg2video", "yuv420p", "mkv"),
    ("mjpeg", "yuvj420p", "avi"),
    ("prores_ks", "yuv422p10le", "mov"),
    ("png", "rgb24", "mov"),
    ("ffv1", "yuv444p", "mkv"),
]


def damaged(path, flips, seed=0):
    """The file with `flips` bytes in its middle changed."""
    data = bytearray(path.read_bytes())
    drawn = random.Random(seed)
    for _ in range(flips):
        data[drawn.randrange(int(len(data) * 0.35), int(len(data) * 0.6))] ^= 0xFF
    copy = path.with_stem(f"damaged{seed}")
    copy.write_bytes(data)
    return copy


@pytest.mark.parametrize(("codec", "pixels", "suffix"), CODECS)
def test_sound_files_are_read_and_damaged_ones_are_not(tmp_path, codec, pixels, suffix):
    video = head(48)
    path = encode(tmp_path / f"sound.{suffix}", video, codec=codec, pixels=pixels)
    seen = read_video(path)
    assert np.abs(seen.astype(int) - video).mean() < 10
    assert len(seen) == video_info(path).frames == 48
    copy = damaged(path, 60)
    for _ in range(2):  # what FFmpeg has said once, it must say again
        with pytest.raises(MediaError, match=r"damaged0.*: (truncated or damaged|not a video)"):
            read_video(copy)


def test_cut_without_encoding_again_is_sound(tmp_path):
    """A stream may start with frames that refer to what was cut away."""
    import av

    options = {"x264opts": "keyint=8:min-keyint=8:open-gop=1:bframes=3:scenecut=0"}
    whole = encode(tmp_path / "whole.mp4", head(48), options=options)
    with av.open(str(whole)) as source, av.open(str(tmp_path / "cut.mkv"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        start = [index for index, packet in enumerate(packets) if packet.is_keyframe][2]
        for packet in packets[start:]:
            packet.stream = stream
            target.mux(packet)
    assert 28 <= len(read_video(tmp_path / "cut.mkv")) <= 48 - start


def test_no_changed_byte_of_a_lossless_file_changes_a_frame(tmp_path):
    video = head(6, 48)
    write_lossless(tmp_path / "own.mkv", video, 25)
    noticed = 0
    for seed in range(60):
        try:
            assert np.array_equal(read_video(damaged(tmp_path / "own.mkv", 1, seed)), video)
        except MediaError:
            noticed += 1
    assert noticed > 50
