"""Identity: alignment, the whole pipeline on photographs, detection bookkeeping."""

import warnings

import numpy as np
import pytest
from emojibench_metrics import identity
from emojibench_metrics.identity import MOBILEFACENET, TEMPLATE, Identity, IdentityMobileFaceNet, alignment
from emojibench_metrics.interface import ClipArrays
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_recipes import find_in, golden, picture_file

FILES = {
    "scrfd-500m": "weights/faces/det_500m.onnx",
    "mobilefacenet-arcface128": "weights/faces/mobilefacenet_arcface128.onnx",
}


def test_alignment_golden_value():
    points = [[108.641098, 111.823799], [152.169296, 111.381599], [133.9608, 132.374695],
              [109.918999, 154.857999], [151.588195, 154.161697]]  # fmt: skip
    expected = [[0.851182, -0.003887, -55.179702], [0.003887, 0.851182, -41.748558]]
    assert alignment(np.array(points)) == pytest.approx(np.array(expected), abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 5), st.floats(-3, 3))
def test_alignment_equals_insightface(seed, scale, angle):
    from insightface.utils.face_align import estimate_norm

    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = TEMPLATE @ turn.T + np.random.default_rng(seed).normal(0, 3, (5, 2)) + 40
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = estimate_norm(points.astype(np.float32))
    assert alignment(points) == pytest.approx(expected, rel=1e-4, abs=1e-3)


@pytest.fixture(scope="module")
def metric():
    return IdentityMobileFaceNet(find_in(FILES))


def test_golden_faces(metric, monkeypatch):
    """Without a border the pipeline is insightface's own."""
    monkeypatch.setattr(identity, "PADDING", 0)
    faces = golden("faces")
    vectors = {}
    for image in faces["images"]:
        photo = picture_file(image["file"])
        points = metric._embed.key_points(photo)
        if not image["n_faces"]:
            assert points is None
            continue
        assert points == pytest.approx(np.array(image["scrfd_kps5"]), abs=1)
        assert alignment(points) == pytest.approx(np.array(image["norm_crop_matrix"]), abs=0.02)
        vectors[image["file"]] = metric._embed(photo)
        assert vectors[image["file"]][:6] == pytest.approx(image["emb_imagenet_norm_first6"], abs=0.02)
    for pair in faces["cosine_pairs"]:
        assert vectors[pair["a"]] @ vectors[pair["b"]] == pytest.approx(pair["cos_imagenet_norm"], abs=0.02)


def test_a_face_that_fills_the_picture_is_found_in_its_place(metric, monkeypatch):
    photo = picture_file("Rob_Lowe_0001.jpg")
    known = metric._embed.key_points(photo)
    left, top = (known.min(0) - 35).astype(int)
    crop = np.ascontiguousarray(photo[top : top + 115, left : left + 115])
    assert metric._embed.key_points(crop) == pytest.approx(known - (left, top), abs=2)
    monkeypatch.setattr(identity, "PADDING", 0)
    assert metric._embed.key_points(crop) is None


def test_photographs_end_to_end(metric):
    portrait, same, other = (
        picture_file(f"{name}.jpg") for name in ("Rob_Lowe_0001", "Rob_Lowe_0002", "Nathalie_Baye_0002")
    )
    black = np.zeros_like(same)
    figures = metric.measure(ClipArrays(np.stack([same, portrait, other, black]), portrait=portrait))
    name = MOBILEFACENET.column
    assert figures[name].value == pytest.approx((0.7032 + 1 - 0.142) / 3, abs=0.02)
    assert figures[name].n == 3
    assert figures[f"{name}_zero"].value == pytest.approx(figures[name].value * 3 / 4)
    assert figures[f"{name}_zero"].n == figures[f"{name}_detection"].n == 4
    assert figures[f"{name}_detection"].value == 0.75
    other_way = metric.measure(ClipArrays(np.stack([portrait] * 3), portrait=other))
    assert other_way[name].value == pytest.approx(-0.142, abs=0.02)


class FakeEmbedder:
    """Finds a face where the top-left pixel is not black; its embedding is that pixel's direction."""

    calls = 0

    def __init__(self, *_):
        type(self).calls = 0

    def __call__(self, picture):
        type(self).calls += 1
        pixel = picture[0, 0].astype(float)
        return pixel / np.linalg.norm(pixel) if pixel.any() else None


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(identity, "FaceEmbedder", FakeEmbedder)
    return Identity(lambda name: None)


def plain(*pixels):
    return np.stack([np.full((8, 8, 3), pixel, np.uint8) for pixel in pixels])


def test_similarity_zero_variant_and_detection_rate(fake):
    frames = plain((255, 0, 0), (0, 255, 0), (0, 0, 0), (255, 255, 0))
    figures = fake.measure(ClipArrays(frames, portrait=plain((255, 0, 0))[0]))
    assert figures["id_sim"].value == pytest.approx((1 + 0 + 0.5**0.5) / 3)
    assert (figures["id_sim"].n, figures["id_sim"].total) == (3, 4)
    assert figures["id_sim_zero"].value == pytest.approx((1 + 0 + 0.5**0.5) / 4)
    assert figures["id_sim_detection"].value == 0.75
    assert FakeEmbedder.calls == 5  # the portrait once, not once a frame


@pytest.mark.parametrize(
    ("portrait", "reason"), [(plain((0, 0, 0))[0], "no face detected on the portrait"), (None, "no portrait")]
)
def test_portrait_without_a_face(fake, portrait, reason):
    figures = fake.measure(ClipArrays(plain((9, 9, 9), (0, 0, 0)), portrait=portrait))
    for column in ("id_sim", "id_sim_zero"):
        assert figures[column].value is None
        assert figures[column].reason == reason
    assert figures["id_sim_detection"].value == 0.5


def test_frames_that_repeat_one_another_are_looked_at_once(fake):
    frames = plain((255, 0, 0), (0, 255, 0), (255, 0, 0), (0, 0, 0), (0, 0, 0))
    figures = fake.measure(ClipArrays(frames, portrait=plain((255, 0, 0))[0]))
    assert figures["id_sim"].value == pytest.approx((1 + 0 + 1) / 3)
    assert (figures["id_sim"].n, figures["id_sim"].total) == (3, 5)
    assert FakeEmbedder.calls == 1 + 3


def test_no_face_in_any_frame(fake):
    figures = fake.measure(ClipArrays(plain((0, 0, 0), (0, 0, 0)), portrait=plain((9, 9, 9))[0]))
    assert figures["id_sim"].value is None
    assert figures["id_sim"].reason == "no face detected in any generated frame"
    assert figures["id_sim_zero"].value == 0
    assert figures["id_sim_detection"].value == 0


def test_the_two_recognisers_ask_for_their_own_files(monkeypatch):
    monkeypatch.setattr(identity, "FaceEmbedder", FakeEmbedder)
    asked = []
    Identity(asked.append)
    IdentityMobileFaceNet(asked.append)
    assert asked == ["scrfd-10g", "arcface-w600k-r50", "scrfd-500m", "mobilefacenet-arcface128"]
