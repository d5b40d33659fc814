from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fye_faster import presets
from fye_faster.accel.accelerator import TaylorCached
from fye_faster.accel.tic import TaylorCacheConfig, uniform
from fye_faster.models import checkpoint
from fye_faster.models.checkpoint import Model
from fye_faster.pipelines.mini import Pipeline
from fye_faster.presets import Preset
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def pipeline(tiny: Preset) -> Pipeline:
    torch.manual_seed(0)
    model = Model(tiny)
    for name, parameter in model.named_parameters():  # nothing may stay zero, or it would not be tested
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
        assert parameter.any(), name
    return Pipeline(model)


def picture(height: int = 64, width: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def test_frames_and_seconds_come_back(pipeline: Pipeline, moving_landmarks: np.ndarray) -> None:
    seen: list[tuple[int, int]] = []
    result = pipeline.animate(
        picture(), moving_landmarks, progress=lambda done, total: seen.append((done, total))
    )
    assert result.frames.shape == (6, 64, 64, 3)
    assert result.frames.dtype == np.uint8
    assert set(result.seconds) == {"condition", "denoise", "decode"}
    assert seen[-1] == (6, 6)  # keyframes and two gaps, two steps each


def test_same_seed_same_frames(pipeline: Pipeline, moving_landmarks: np.ndarray) -> None:
    a, b, c = (pipeline.animate(picture(), moving_landmarks, seed=s).frames for s in (3, 3, 4))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_everything_given_has_an_effect(pipeline: Pipeline, moving_landmarks: np.ndarray) -> None:
    base = pipeline.animate(picture(), moving_landmarks).frames
    others = {
        "portrait": pipeline.animate(255 - picture(), moving_landmarks),
        "target": pipeline.animate(picture(), moving_landmarks[::-1].copy()),
        "own": pipeline.animate(picture(), moving_landmarks, portrait_landmarks=moving_landmarks[0]),
        "steps": pipeline.animate(picture(), moving_landmarks, steps=3),
        "guidance": pipeline.animate(picture(), moving_landmarks, guidance=1.0),
    }
    for name, other in others.items():
        assert not np.array_equal(base, other.frames), name


def test_clips_are_independent_of_those_before(pipeline: Pipeline, moving_landmarks: np.ndarray) -> None:
    base = pipeline.animate(picture(), moving_landmarks).frames
    pipeline.animate(255 - picture(), moving_landmarks[:2], guidance=1.0)
    assert np.array_equal(base, pipeline.animate(picture(), moving_landmarks).frames)


@pytest.mark.parametrize(("height", "width"), [(40, 100), (200, 64), (1, 1)])
def test_portraits_of_any_size(
    pipeline: Pipeline, moving_landmarks: np.ndarray, height: int, width: int
) -> None:
    frames = pipeline.animate(picture(height, width), moving_landmarks[:1]).frames
    assert frames.shape == (1, height, width, 3)


def test_missing_targets_hold_the_nearest(pipeline: Pipeline, moving_landmarks: np.ndarray) -> None:
    gaps = moving_landmarks.copy()
    gaps[2] = np.nan
    held = moving_landmarks.copy()
    held[2] = held[1]
    a, b = (pipeline.animate(picture(), points).frames for points in (gaps, held))
    assert np.array_equal(a, b)


def test_bad_input_is_named(pipeline: Pipeline, moving_landmarks: np.ndarray) -> None:
    for portrait, points, options, message in [
        (picture()[..., 0], moving_landmarks, {}, "portrait: expected uint8"),
        (picture().astype(float), moving_landmarks, {}, "portrait: expected uint8"),
        (picture(), moving_landmarks[:0], {}, r"landmarks: .*\(0, 478, 3\)"),
        (picture(), moving_landmarks[:, :468], {}, r"landmarks: .*\(6, 468, 3\)"),
        (picture(), moving_landmarks * np.nan, {}, "none of the 6 frames has a face"),
        (picture(), moving_landmarks, {"steps": 0}, "steps: expected 1 to 1000, got 0"),
        (picture(), moving_landmarks, {"guidance": 0.5}, "guidance: expected 1"),
        (picture(), moving_landmarks, {"portrait_landmarks": moving_landmarks}, "portrait_landmarks"),
    ]:
        with pytest.raises(ValueError, match=message):
            pipeline.animate(portrait, points, **options)  # type: ignore[arg-type]


def test_weights_survive_the_disk(tiny: Preset, tmp_path: Path) -> None:
    model = Model(tiny)
    path = tmp_path / "tiny.safetensors"
    checkpoint.save(path, model.state_dict(), tiny)
    path.with_suffix(".txt").touch()
    assert path.stat().st_mode == path.with_suffix(".txt").stat().st_mode, (
        "who may read files may read this one"
    )
    copy = Model(tiny)
    checkpoint.load(copy, path)
    for (name, a), b in zip(model.state_dict().items(), copy.state_dict().values(), strict=True):
        assert torch.equal(a.half().float(), b), name
    digests = {checkpoint.digest(path)}
    for _ in range(9):
        checkpoint.save(path, model.state_dict(), tiny)
        digests.add(checkpoint.digest(path))
    assert [len(digest) for digest in digests] == [12], "the same weights are the same file"


def test_unfit_weights_are_refused(tiny: Preset, tmp_path: Path) -> None:
    model = Model(tiny)
    path = tmp_path / "weights.safetensors"
    with pytest.raises(ValueError, match="no such weights file"):
        checkpoint.load(model, path)
    checkpoint.save(path, model.state_dict(), presets.MINI)
    with pytest.raises(ValueError, match="weights of preset 'mini', expected 'tiny'"):
        checkpoint.load(model, path)
    state = model.state_dict()
    state.pop("autoencoder.mean")
    checkpoint.save(path, state, tiny)
    with pytest.raises(ValueError, match=r"(?s)does not fit.*autoencoder\.mean"):
        checkpoint.load(model, path)
    with pytest.raises(ValueError) as caught:
        checkpoint.load(model, path)
    assert len(str(caught.value)) < 500
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        checkpoint.load(model, path)
    for bad, message in {
        torch.full((4,), torch.nan): "autoencoder.mean: holds NaN or infinity",
        torch.ones(
            4, dtype=torch.int8
        ): "autoencoder.mean: expected half, single or double precision, got I8",
        torch.ones(4, dtype=torch.complex64): "double precision, got C64",
    }.items():
        save_file({**state, "autoencoder.mean": bad}, path, metadata={"preset": "tiny"})
        with pytest.raises(ValueError, match=message):
            checkpoint.load(model, path)
    save_file(state, path, metadata={"preset": "tiny", "landmarks": "eyes,tail"})
    with pytest.raises(ValueError, match="trained on unknown landmarks tail"):
        checkpoint.as_trained(tiny, path)


def test_landmarks_travel_with_the_weights_that_know_them(
    tiny: Preset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(presets.PRESETS, tiny.name, tiny)
    variant = replace(tiny, landmark_groups=("contour", "eyes"))
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, Model(variant).state_dict(), variant)
    assert Pipeline.from_preset(tiny.name, path).preset == variant
    with pytest.raises(
        ValueError, match=r"trained on landmarks contour,eyes with .*expected landmarks eyes,brows"
    ):
        checkpoint.load(Model(tiny), path)
    model = Model(tiny)
    checkpoint.load_autoencoder(model, path)  # sees no landmarks
    assert torch.equal(model.autoencoder.scale, torch.ones(()))


def test_a_misspelt_preset_is_corrected() -> None:
    with pytest.raises(ValueError, match="Did you mean 'mini'"):
        Pipeline.from_preset("minni")


def test_an_accelerator_changes_one_clip_and_leaves_nothing_behind(
    pipeline: Pipeline, moving_landmarks: np.ndarray
) -> None:
    base = pipeline.animate(picture(), moving_landmarks, steps=4).frames
    for mask in ("none", "expression", "face"):
        cached = TaylorCached(TaylorCacheConfig(uniform(4, 2), scope="head", mask=mask))
        faster = pipeline.animate(picture(), moving_landmarks, steps=4, accelerator=cached)
        assert not np.array_equal(base, faster.frames)
        again = pipeline.animate(picture(), moving_landmarks, steps=4, accelerator=cached)
        assert np.array_equal(faster.frames, again.frames)
    assert np.array_equal(base, pipeline.animate(picture(), moving_landmarks, steps=4).frames)
    with pytest.raises(ValueError, match="steps: this accelerator is made for 4, got 3"):
        pipeline.animate(picture(), moving_landmarks, steps=3, accelerator=cached)
