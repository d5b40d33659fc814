"""Files that are no media, or that would cost more than they show, are refused at once."""

import os
import resource
import subprocess
import sys
import zlib

import pytest
from foreign import encode, head
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from emojibench.errors import MediaError
from emojibench.media import read_image, read_video, video_info

LISTS = {
    "concat.mkv": "ffconcat version 1.0\nfile video.mp4\n",
    "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nvideo.mp4\n#EXT-X-ENDLIST\n",
    "dash.webm": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011'></MPD>",
    "session.avi": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5000 RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_texts_that_name_other_files_are_no_videos(tmp_path, name):
    encode(tmp_path / "video.mp4", head(4))
    (tmp_path / name).write_text(LISTS[name])
    with pytest.raises(MediaError, match=f"{name}: not a video.*expected MP4, MOV, MKV, WebM or AVI"):
        read_video(tmp_path / name)


def test_a_name_is_never_a_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "a.mp4", head(4))
    (tmp_path / "a.mp4").rename(tmp_path / "concat:a.mp4")
    assert video_info("concat:a.mp4").frames == 4


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", "/dev/zero"):
        for read in (read_image, read_video, video_info):
            with pytest.raises(MediaError, match="got a pipe, socket or device"):
                read(path)


def png(width, height, rows):
    def chunk(kind, data):
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    head = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 6, 0, 0, 0])
    packed = zlib.compress(bytes(rows * (4 * width + 1)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(8000, 6400), (10000, 9000), (60000, 60000)])
def test_pictures_that_are_too_large_are_refused_unread(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(png(*size, rows=10))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaError, match=r"bomb.png: .*expected at most 51,000,000"):
        read_image(tmp_path / "bomb.png")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


def test_videos_that_are_too_large_are_refused_unread(tmp_path):
    script = (
        "import resource, sys\n"
        "from emojibench import media\n"
        "from emojibench.errors import MediaError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: media.read_video(sys.argv[1])\n"
        "except MediaError as error: print(error)\n"
        "assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000\n"
    )
    data = encode(tmp_path / "small.mov", head(1), codec="png", pixels="rgb24").read_bytes()
    start = data.index(b"\x89PNG") + 16
    large = (16384).to_bytes(4, "big") + (8192).to_bytes(4, "big")
    header = b"IHDR" + large + data[start + 8 : start + 13]
    crc = zlib.crc32(header).to_bytes(4, "big")
    (tmp_path / "bomb.mov").write_bytes(
        data[:start] + large + data[start + 8 : start + 13] + crc + data[start + 17 :]
    )
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "bomb.mov"], capture_output=True, text=True, check=True
    )
    assert "16384x8192" in done.stdout


def test_formats_that_start_programs_are_no_pictures(tmp_path):
    (tmp_path / "figure.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\nshowpage\n")
    with pytest.raises(MediaError, match=r"figure.png: not a picture that can be read"):
        read_image(tmp_path / "figure.png")


@pytest.mark.parametrize(("brand", "package"), [(b"heic", "pillow-heif"), (b"avif", "pillow-avif-plugin")])
def test_a_missing_reader_and_a_damaged_file_are_told_apart(tmp_path, monkeypatch, brand, package):
    from emojibench.media import images

    path = tmp_path / "phone.heic"
    path.write_bytes(b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand + bytes(100))
    monkeypatch.setattr(images, "_formats", lambda: ("PNG",))
    with pytest.raises(MediaError, match=rf"phone.heic: an? .* picture; install its reader .*{package}"):
        read_image(path)
    monkeypatch.setattr(images, "_formats", lambda: ("PNG", "AVIF", "HEIF"))
    monkeypatch.setattr(images.Pillow, "open", unidentified)
    with pytest.raises(MediaError, match=r"phone.heic: the picture is damaged or cut short"):
        read_image(path)


def unidentified(*_, **__):
    raise UnidentifiedImageError


def test_heic_is_read_with_its_reader(tmp_path):
    heif = pytest.importorskip("pillow_heif", reason="HEIC needs pillow-heif")
    heif.register_heif_opener()
    picture = Pillow.new("RGBA", (64, 48), (200, 100, 50, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 32, 48))
    exif = Pillow.Exif()
    exif[0x0112] = 6
    picture.save(tmp_path / "phone.HEIC", quality=95, exif=exif.tobytes())
    read = read_image(tmp_path / "phone.HEIC").astype(int)
    assert read.shape == (64, 48, 3)
    assert abs(read[8, 24] - 255).max() < 4  # transparent, turned to the top
    assert abs(read[56, 24] - (200, 100, 50)).max() < 6
    data = (tmp_path / "phone.HEIC").read_bytes()
    (tmp_path / "cut.heic").write_bytes(data[: len(data) // 2])
    with pytest.raises(MediaError, match=r"cut.heic: the picture is damaged or cut short"):
        read_image(tmp_path / "cut.heic")


def test_avif_is_read(tmp_path):
    Pillow.new("RGB", (16, 16), (200, 100, 50)).save(tmp_path / "a.avif", quality=100)
    assert abs(read_image(tmp_path / "a.avif")[0, 0].astype(int) - (200, 100, 50)).max() < 5
