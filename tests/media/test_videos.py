import resource
import subprocess
import sys
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emojibench.errors import MediaError, UserError
from emojibench.media import iterate_video, read_video, video_info, write_lossless, write_preview


def noise(frames=10, height=32, width=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


@given(
    frames=st.integers(1, 5),
    height=st.integers(16, 70),
    width=st.integers(16, 70),
    fps=st.sampled_from([7.0, 12000 / 1001, 24.0, 25.0, 30000 / 1001, 60.0]),
)
@settings(max_examples=20, deadline=None)
def test_lossless_video_is_bit_exact(tmp_path_factory, frames, height, width, fps):
    path = tmp_path_factory.mktemp("video") / "video.mkv"
    video = noise(frames, height, width)
    write_lossless(path, video, fps)
    assert np.array_equal(read_video(path), video)
    info = video_info(path)
    assert (info.width, info.height, info.frames) == (width, height, frames)
    assert info.fps == pytest.approx(fps, rel=1e-4)


def test_lossless_video_has_the_same_bytes_twice(tmp_path):
    for name in ("a.mkv", "b.mkv"):
        write_lossless(tmp_path / name, iter(noise()), 25)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_preview_is_watermarked_on_a_copy(tmp_path):
    video = np.full((4, 101, 151, 3), 200, np.uint8)
    before = video.copy()
    write_preview(tmp_path / "preview.mp4", video, 25)
    seen = read_video(tmp_path / "preview.mp4").astype(int)
    assert np.array_equal(video, before)
    assert seen.shape == (4, 102, 152, 3)
    assert video_info(tmp_path / "preview.mp4").codec == "h264"
    away = seen[:, :80]
    mark = seen[:, 85:, :60]
    assert abs(away - 200).max() < 8
    assert mark.min() < 110  # the strip
    assert mark.max() > 210  # the letters


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_truncated_video_says_how_much_is_there(tmp_path, suffix, part):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    write = write_lossless if suffix == ".mkv" else write_preview
    write(whole, noise(30), 25)
    data = whole.read_bytes()
    cut.write_bytes(data[: int(len(data) * part)])
    seen = []
    with pytest.raises(
        MediaError, match=rf"cut{suffix}: truncated or damaged .* of 30 frames could be"
    ) as caught:
        seen.extend(iterate_video(cut))
    assert f": {len(seen)} of 30" in str(caught.value)
    assert len(seen) < 30


def test_what_is_no_video_is_named(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video" * 100)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path in (text, empty):
        with pytest.raises(MediaError, match=f"{path.name}: not a video.*0 frames could be decoded"):
            read_video(path)
        with pytest.raises(MediaError, match=path.name):
            video_info(path)
    with pytest.raises(MediaError, match=r"absent.mp4: no such video"):
        read_video(tmp_path / "absent.mp4")


def test_iterating_may_stop_early(tmp_path):
    write_lossless(tmp_path / "video.mkv", noise(), 25)
    frames = iterate_video(tmp_path / "video.mkv")
    assert len(list(islice(frames, 3))) == 3
    frames.close()


def test_rotation_of_phones_is_applied(tmp_path):
    path = tmp_path / "phone.mp4"
    video = np.zeros((3, 64, 96, 3), np.uint8)
    video[:, :32, :48] = 255  # bright at the upper left as the sensor sees it
    write_preview(path, video, 25)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    quarter_clockwise = [0, 1 << 16, 0, -(1 << 16), 0, 0, 64 << 16, 0, 1 << 30]
    data[matrix : matrix + 36] = b"".join(
        value.to_bytes(4, "big", signed=True) for value in quarter_clockwise
    )
    path.write_bytes(data)
    frame = read_video(path)[0]
    assert frame.shape == (96, 64, 3)
    assert frame[10, 54].min() > 200  # so it is at the upper right
    assert frame[10, 10].max() < 50
    assert (video_info(path).width, video_info(path).height) == (64, 96)


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "video.mkv"
    write_lossless(path, noise(2), 25)
    before = path.read_bytes()

    def broken():
        yield noise(1)[0]
        raise RuntimeError("renderer died")

    with pytest.raises(RuntimeError):
        write_lossless(path, broken(), 25)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["video.mkv"]


@pytest.mark.parametrize(("function", "name"), [("write_lossless", "a.mkv"), ("write_preview", "a.mp4")])
def test_full_disk_is_a_clear_error(tmp_path, function, name):
    script = (
        "import sys, numpy as np, pathlib\n"
        "from emojibench import media\n"
        "from emojibench.errors import UserError\n"
        "video = np.random.default_rng(0).integers(0, 256, (20, 64, 64, 3), np.uint8)\n"
        f"try: media.{function}(pathlib.Path(sys.argv[1]), video, 25)\n"
        "except UserError as error: print(error)\n"
    )
    limit = 20_000
    done = subprocess.run(
        [sys.executable, "-B", "-c", script, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert done.stdout.startswith(f"cannot write {tmp_path / name}: File too large")
    assert list(tmp_path.iterdir()) == []


def test_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/deep/video.mkv: Not a directory"):
        write_lossless(tmp_path / "file" / "deep" / "video.mkv", noise(2), 25)
