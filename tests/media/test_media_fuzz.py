"""Whatever is in a picture or video: it is read, or ends in one error that names it."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from foreign import encode, head
from PIL import Image as Pillow
from PIL import ImageCms

from emojibench.errors import MediaError
from emojibench.media import iterate_video, read_image, video_info

VIDEOS = [
    ("libx264", "mp4", {}),
    ("libx264", "mkv", {"options": {"x264opts": "tff=1"}}),
    ("libx264", "mov", {"pixels": "yuv420p10le", "color_trc": 18, "color_primaries": 9, "colorspace": 9}),
    ("libx264", "m4v", {"times": [0, 0.1, 0.2, 0.6, 0.7, 0.8]}),
    ("ffv1", "mkv", {"pixels": "bgr0"}),
    ("mpeg4", "avi", {}),
    ("mjpeg", "mov", {"pixels": "yuvj420p", "field_order": 2}),
    ("libvpx", "webm", {}),
    ("libvpx-vp9", "webm", {}),
    ("png", "mov", {"pixels": "rgba"}),
    ("prores_ks", "mov", {"pixels": "yuv422p10le"}),
]
PICTURES = [
    ("png", "RGBA"), ("png", "P"), ("png", "L"), ("jpeg", "RGB"), ("jpeg", "CMYK"), ("webp", "RGBA"), ("bmp", "RGB"),
    ("tiff", "RGB"), ("gif", "P"), ("avif", "RGB"),
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """File name to content."""
    folder = tmp_path_factory.mktemp("sound")
    files = {}
    for number, (codec, suffix, how) in enumerate(VIDEOS):
        path = encode(folder / f"{number}.{suffix}", head(6, 32), codec=codec, **how)
        files[path.name] = path.read_bytes()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = (
        profile.replace(b"rXYZ", b"tttt").replace(b"bXYZ", b"rXYZ").replace(b"tttt", b"bXYZ")
    )  # other colours
    exif = Pillow.Exif()
    exif[0x0112] = 6
    for kind, mode in PICTURES:
        buffer = io.BytesIO()
        extra = {"icc_profile": profile} if kind in ("png", "webp", "tiff", "avif") else {}
        extra |= {"exif": exif} if kind in ("png", "jpeg", "webp", "tiff") else {}
        Pillow.fromarray(head(1, 32)[0]).convert(mode).save(buffer, kind, **extra)
        files[f"{mode}.{kind}"] = buffer.getvalue()
    return files


def mutated(data: bytes, drawn: random.Random) -> bytes:
    changed = bytearray(data)
    where = drawn.randrange(len(data))
    match drawn.randrange(5):
        case 0:
            for _ in range(drawn.choice([1, 2, 5, 30])):
                changed[drawn.randrange(len(data))] = drawn.randrange(256)
        case 1:
            del changed[where:]
        case 2:
            changed[where : where + drawn.choice([1, 2, 4])] = drawn.choice(
                [b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff"]
            )
        case 3:
            start = drawn.randrange(len(data))
            changed[where:where] = data[start : start + drawn.randrange(64)]
        case 4:
            del changed[where : where + drawn.randrange(1, 40)]
    return bytes(changed)


def read(path: Path) -> None:
    if path.suffix[1:] in {kind for kind, _ in PICTURES}:
        assert read_image(path).dtype == np.uint8
        return
    video_info(path)
    for frame in iterate_video(path):
        assert frame.dtype == np.uint8


@pytest.mark.parametrize(
    ("seed", "rounds"), [(0, 6), pytest.param(1, 300, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_mutated_media_end_in_one_error(sound, tmp_path, seed, rounds):
    drawn = random.Random(seed)
    for name, data in sound.items():
        path = tmp_path / name
        path.write_bytes(data)
        read(path)
        refused = 0
        for _ in range(rounds):
            path.write_bytes(mutated(data, drawn))
            try:
                read(path)
            except MediaError as error:
                refused += str(path) in str(error)
        assert refused, f"no change of {name} was noticed"
