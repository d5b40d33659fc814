import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from emojibench.errors import MediaError, UserError
from emojibench.media import read_image, resize, write_image

RGB = np.array(
    [[[255, 0, 0], [0, 255, 0], [0, 0, 255]], [[10, 20, 30], [40, 50, 60], [70, 80, 90]]], np.uint8
)


def saved(tmp_path, picture, name="picture.png", **options):
    path = tmp_path / name
    picture.save(path, **options)
    return path


def test_png_round_trip_is_exact(tmp_path):
    path = tmp_path / "deep" / "folder" / "picture.png"
    write_image(path, RGB)
    assert np.array_equal(read_image(path), RGB)
    assert [file.name for file in path.parent.iterdir()] == ["picture.png"]


def test_grey_becomes_three_equal_channels(tmp_path):
    image = read_image(saved(tmp_path, Pillow.fromarray(RGB).convert("L")))
    assert image.shape == (2, 3, 3)
    assert (image == image[..., :1]).all()


def test_palette_becomes_its_colours(tmp_path):
    palette = Pillow.new("P", (2, 1))
    palette.putpalette([200, 100, 50, 1, 2, 3])
    palette.putdata([1, 0])
    assert read_image(saved(tmp_path, palette)).tolist() == [[[1, 2, 3], [200, 100, 50]]]


def test_transparent_pixels_lie_on_white(tmp_path):
    rgba = Pillow.fromarray(np.array([[[10, 20, 30, 0], [10, 20, 30, 255], [0, 0, 0, 51]]], np.uint8), "RGBA")
    assert read_image(saved(tmp_path, rgba)).tolist() == [[[255, 255, 255], [10, 20, 30], [204, 204, 204]]]


def test_transparent_palette_entry_lies_on_white(tmp_path):
    palette = Pillow.new("P", (2, 1))
    palette.putpalette([200, 100, 50, 1, 2, 3])
    palette.putdata([0, 1])
    path = saved(tmp_path, palette, transparency=0)
    assert read_image(path).tolist() == [[[255, 255, 255], [1, 2, 3]]]


@given(value=st.integers(0, 65535))
@settings(max_examples=20, deadline=None)
def test_sixteen_bit_grey_divides_by_257(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("grey") / "grey.png"
    Pillow.fromarray(np.array([[0, value, 65535]], np.uint16)).save(path)
    assert read_image(path)[0, :, 0].tolist() == [0, round(value / 257), 255]


@pytest.mark.parametrize(("orientation", "turned"), [(1, RGB), (3, RGB[::-1, ::-1]), (6, np.rot90(RGB, -1))])
def test_exif_orientation_is_applied(tmp_path, orientation, turned):
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    image = read_image(saved(tmp_path, Pillow.fromarray(RGB), exif=exif))
    assert np.array_equal(image, turned)


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    path = saved(tmp_path, Pillow.new("CMYK", (8, 8), (0, 255, 255, 0)), "ink.jpg", quality=100)
    red, green, blue = read_image(path)[4, 4]
    assert red > 200
    assert max(green, blue) < 60


def test_bad_pictures_are_named(tmp_path):
    whole = saved(tmp_path, Pillow.effect_noise((64, 64), 60))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:800])
    text = tmp_path / "text.png"
    text.write_text("not a picture")
    empty = tmp_path / "empty.png"
    empty.touch()
    floats = saved(tmp_path, Pillow.fromarray(np.ones((4, 4), np.float32)), "floats.tiff")
    for path in (cut, text, empty, floats, tmp_path / "absent.png", tmp_path):
        with pytest.raises(MediaError, match=str(path.name)):
            read_image(path)


def test_resize_averages_down_and_keeps_the_same_size():
    checks = np.tile(np.array([[0, 255], [255, 0]], np.uint8), (4, 4))[..., None].repeat(3, 2)
    assert np.unique(resize(checks, 4)).tolist() in ([127], [128])
    assert resize(checks, 8) is checks
    assert resize(checks, (16, 12)).shape == (12, 16, 3)


def test_resize_of_a_video_is_that_of_its_frames():
    video = np.random.default_rng(0).integers(0, 256, (3, 20, 30, 3), np.uint8)
    for size in (12, (60, 45)):
        assert np.array_equal(resize(video, size), np.stack([resize(frame, size) for frame in video]))


def test_unwritable_place_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*file/deep/picture.png: Not a directory"):
        write_image(tmp_path / "file" / "deep" / "picture.png", RGB)
