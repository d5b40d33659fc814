"""FVD: closed-form Fréchet distance, I3D port, windows, undefined cases."""

import numpy as np
import pytest
from emojibench_metrics.fvd import Fvd, aggregate, frechet_distance, i3d_features, i3d_from_weights
from emojibench_metrics.i3d import I3D, preprocess
from hypothesis import given, settings
from hypothesis import strategies as st
from metric_recipes import SHARED, fill, golden, shapes, video


def features(seed, count, d, shift=0.0, scale=1.0):
    r = np.random.Generator(np.random.PCG64(seed))
    mix = r.standard_normal((d, d)) / np.sqrt(d)
    return (scale * (r.standard_normal((count, d)) @ mix) + shift).astype(np.float32)


# seeds, N, M, d, shift, scale, distance
FRECHET = [
    (1, 2, 600, 500, 16, 0.5, 1.2, 13.93039135552404),
    (3, 4, 512, 512, 64, 0.0, 1.0, 34.971798026166326),
    (5, 6, 45, 45, 400, 0.3, 1.1, 703.3727530721584),
    (7, 7, 64, 64, 32, 0.0, 1.0, 0.0),
]


@pytest.mark.parametrize(("a", "b", "n", "m", "d", "shift", "scale", "expected"), FRECHET)
def test_frechet_golden_values(a, b, n, m, d, shift, scale, expected):
    value = frechet_distance(features(a, n, d), features(b, m, d, shift, scale))
    assert value == pytest.approx(expected, rel=1e-10, abs=1e-10)


def test_frechet_equals_the_matrix_square_root_where_that_is_well_conditioned():
    from scipy.linalg import sqrtm

    a, b = features(1, 300, 8), features(2, 200, 8, 0.4, 1.5)
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = sqrtm(ca @ cb).real
    textbook = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(ca + cb - 2 * root)
    assert frechet_distance(a, b) == pytest.approx(textbook, rel=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 40), st.integers(2, 40), st.integers(1, 20))
def test_frechet_axioms(seed, n, m, d):
    r = np.random.default_rng(seed)
    a, b = r.normal(0, 1, (n, d)), r.normal(1, 2, (m, d))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) >= 0
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9, abs=1e-9)
    assert frechet_distance(a, a + 3) == pytest.approx(9 * d, rel=1e-9)
    assert frechet_distance(a, r.permutation(a)) == pytest.approx(0, abs=1e-9)


def test_frechet_refuses_what_has_no_covariance():
    a = np.ones((3, 4))
    with pytest.raises(ValueError, match="at least 2 rows, got 1 and 3"):
        frechet_distance(a[:1], a)
    with pytest.raises(ValueError, match="expected features"):
        frechet_distance(a, a[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        frechet_distance(a * np.nan, a)


@pytest.fixture(scope="module")
def weights():
    return fill(shapes(I3D()))


@pytest.fixture(scope="module")
def network(weights):
    return i3d_from_weights(weights)


@pytest.fixture(scope="module")
def short_videos():
    return video(13, 4, 10, 48, 80), video(14, 4, 10, 48, 80)


def test_preprocessing_golden_values(short_videos):
    ready = preprocess(short_videos[0][0])
    assert ready.shape == (1, 3, 10, 224, 224)
    whole = np.concatenate([preprocess(v).numpy() for v in short_videos[0]])
    assert whole.mean() == pytest.approx(0.0037051808976189733, abs=1e-6)
    assert whole.std() == pytest.approx(0.565040401740724, abs=1e-6)


@pytest.mark.parametrize(("height", "width"), [(300, 300), (256, 256), (123, 457), (457, 123), (224, 224)])
def test_preprocessing_makes_any_size_fit(height, width):
    grey = np.full((2, height, width, 3), 255, np.uint8)
    ready = preprocess(grey)
    assert ready.shape == (1, 3, 2, 224, 224)
    assert ready.numpy() == pytest.approx(
        1, abs=1e-5
    )  # resizing rounds, differently by the number of threads


def test_i3d_golden_logits(network, short_videos):
    first8 = [-7.674831, 3.791984, -6.365061, 7.252508, 0.283065, 1.847663, -10.45007, 6.38547]
    got = i3d_features(short_videos[0][0], network)
    assert got.shape == (1, 400)  # 10 frames: the whole clip, no window
    assert got[0, :8] == pytest.approx(first8, rel=1e-4)
    assert np.linalg.norm(got) == pytest.approx(95.96424865722656, rel=1e-4)


@pytest.mark.slow
def test_all_golden_videos(network):
    for case in golden("fvd")["videos"]:
        size = case["N"], case["T"], case["H"], case["W"]
        sides = [video(case[seed], *size) for seed in ("seed_a", "seed_b")]
        generated, truth = ([i3d_features(v, network) for v in side] for side in sides)
        norms = [np.linalg.norm(f[0]) for f in generated]
        assert norms == pytest.approx(case["logits_a_norm"], rel=1e-4)
        expected = case["fvd_shortside_crop_unbiased_closed_form"]
        figures = aggregate(generated, truth)
        assert figures["fvd_full"].value == pytest.approx(expected, rel=1e-3)
        if case["T"] == 16:
            assert figures["fvd"] == figures["fvd_full"]


def test_windows_do_not_overlap_and_the_rest_is_dropped():
    def first_and_last(ready):  # stands in for the network
        return ready[:, 0, [0, -1], 0, 0]

    frames = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 24, 24, 3), np.uint8)
    seen = np.round((i3d_features(frames, first_and_last) + 1) * 127.5)
    assert seen.tolist() == [[0, 39], [0, 15], [16, 31]]
    assert len(i3d_features(frames[:9], first_and_last)) == 1
    assert i3d_features(frames[:8], first_and_last).shape == (0, 400)


def fake_features(seed, clips, windows, shift=0.0):
    r = np.random.default_rng(seed)
    return [r.normal(shift, 1, (1 + windows, 400)) for _ in range(clips)]


def test_aggregate_counts_clips_and_separates_whole_clips_from_windows():
    generated, truth = fake_features(0, 6, 4, shift=0.2), fake_features(1, 6, 4)
    figures = aggregate(generated, truth)
    assert {name: figure.n for name, figure in figures.items()} == {"fvd": 6, "fvd_full": 6, "fvd_floor": 3}
    windows = [np.concatenate([f[1:] for f in side]) for side in (generated, truth)]
    assert figures["fvd"].value == frechet_distance(*windows)
    assert figures["fvd_full"].value == frechet_distance(
        *(np.stack([f[0] for f in s]) for s in (generated, truth))
    )
    assert aggregate(truth, truth)["fvd"].value == pytest.approx(0, abs=1e-8)
    floor = aggregate(generated, truth)["fvd_floor"], aggregate(truth, generated)["fvd_floor"]
    assert floor[0] != floor[1]  # the floor is the truth's


def test_too_few_clips_or_frames_are_undefined_with_the_count():
    one = fake_features(0, 1, 4)
    assert all(f.value is None and f.reason and f.n <= 1 for f in aggregate(one, one).values())
    none = [np.empty((0, 400))] * 3
    assert all(f.value is None and f.n == 0 for f in aggregate(none, none).values())
    assert aggregate([], [])["fvd"].value is None
    broken = [np.full((3, 400), np.nan)] * 2
    assert "NaN" in aggregate(broken, broken)["fvd"].reason
    with pytest.raises(ValueError):
        aggregate(one, [])


def test_the_public_file_lacks_batch_counters_and_loads_all_the_same(weights, tmp_path):
    import torch

    file = tmp_path / "i3d_pretrained_400.pt"
    torch.save({k: v for k, v in weights.items() if not k.endswith("num_batches_tracked")}, file)
    assert Fvd(lambda name: file).traits[0].name == "fvd"
    torch.save({k: v for k, v in weights.items() if not k.startswith("logits")}, file)
    with pytest.raises(ValueError, match=r"weights do not fit I3D .*logits"):
        Fvd(lambda name: file)


def test_real_weights_reproduce_the_published_value():
    from emojibench_metrics.networks import load_tensors

    file = next((f for f in SHARED.glob("weights/**/i3d_pretrained_400.pt")), None)
    if file is None:
        pytest.skip("needs i3d_pretrained_400.pt in the folder 'shared' beside the repository")
    network = i3d_from_weights(load_tensors(file))
    sides = [[np.full((30, 64, 64, 3), v, np.uint8)] * 8 for v in (0, 255)]
    generated, truth = ([i3d_features(v, network) for v in side] for side in sides)
    assert aggregate(generated, truth)["fvd_full"].value == pytest.approx(151.26, abs=1)
