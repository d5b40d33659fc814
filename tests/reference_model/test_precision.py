import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from fye_faster.models import checkpoint
from fye_faster.models.checkpoint import Model
from fye_faster.pipelines.mini import Pipeline
from fye_faster.presets import Preset
from safetensors.torch import save_file

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def model(tiny: Preset) -> Model:
    torch.manual_seed(0)
    made = Model(tiny)
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return made


def frames(pipeline: Pipeline, points: np.ndarray) -> np.ndarray:
    return pipeline.animate(PICTURE, points, portrait_landmarks=points[0], seed=1).frames.astype(int)


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
def test_fewer_bits_give_nearly_the_same_frames(
    model: Model, moving_landmarks: np.ndarray, dtype: str
) -> None:
    exact = frames(Pipeline(copy.deepcopy(model)), moving_landmarks)
    rough = frames(Pipeline(copy.deepcopy(model), dtype=dtype), moving_landmarks)
    assert 0 < np.abs(rough - exact).mean() < 1


def test_networks_are_cast_and_what_needs_accuracy_is_not(model: Model) -> None:
    cast = Pipeline(copy.deepcopy(model), dtype="bf16").model
    kinds = {name: value.dtype for name, value in cast.state_dict().items()}
    assert kinds["autoencoder.project.weight"] == torch.bfloat16
    assert kinds["autoencoder.mean"] == torch.float32
    assert cast.animator.alphas_cumprod.dtype == torch.float32
    parameters = list(cast.parameters())
    small = sum(p.numel() for p in parameters if p.dtype == torch.float32)
    assert small < 0.15 * sum(p.numel() for p in parameters)


def test_landmarks_of_any_kind_of_number_drive_alike(model: Model, moving_landmarks: np.ndarray) -> None:
    pipeline = Pipeline(copy.deepcopy(model))
    exact = frames(pipeline, moving_landmarks.astype(np.float64))
    assert np.array_equal(frames(pipeline, moving_landmarks.astype(np.float32)), exact)
    rough = moving_landmarks.astype(np.float16)
    same = frames(pipeline, rough.astype(np.float64))
    assert np.abs(frames(pipeline, rough) - same).max() <= 1
    mixed = pipeline.animate(PICTURE, rough, portrait_landmarks=rough[0].astype(np.float64), seed=1).frames
    assert np.abs(mixed.astype(int) - same).max() <= 1


def test_a_model_that_was_cast_before_is_refused(model: Model) -> None:
    half = copy.deepcopy(model)
    half.animator.denoiser.to(torch.bfloat16)
    with pytest.raises(
        ValueError, match=r"model: expected fp32 throughout, animator.denoiser.\S+ is bfloat16; .*dtype"
    ):
        Pipeline(half, dtype="bf16")


def test_weights_of_mixed_kinds_become_one(model: Model, tiny: Preset, tmp_path: Path) -> None:
    kinds = (torch.float16, torch.bfloat16, torch.float32)
    state = {n: v.to(kinds[i % 3]) for i, (n, v) in enumerate(model.state_dict().items())}
    file = tmp_path / "mixed.safetensors"
    save_file(state, file, metadata={"preset": tiny.name})
    loaded = Model(tiny)
    checkpoint.load(loaded, file)
    for name, value in loaded.state_dict().items():
        assert value.dtype == model.state_dict()[name].dtype, name
        assert torch.equal(value, state[name].to(value.dtype)), name


def test_auto_is_the_cpu_where_there_is_nothing_else(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert Pipeline(copy.deepcopy(model), device="auto").device.type == "cpu"
    with pytest.raises(ValueError, match="device: cuda was asked for, but PyTorch finds no CUDA device"):
        Pipeline(copy.deepcopy(model), device="cuda")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "fp8"}, "dtype: expected one of fp32, bf16, fp16, got 'fp8'"),
        ({"device": "tpu"}, "device: expected one of auto, cpu, cuda, cuda:1, ..., got 'tpu'"),
    ],
)
def test_unknown_names_are_refused(model: Model, options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pipeline(copy.deepcopy(model), **options)


def test_a_full_gpu_says_what_takes_less(
    model: Model, moving_landmarks: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = Pipeline(copy.deepcopy(model))

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pipeline.model.animator, "encode_reference", full)
    with pytest.raises(MemoryError, match="not enough for preset tiny; dtype bf16 or fp16 takes less"):
        frames(pipeline, moving_landmarks)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_the_gpu_makes_the_frames_of_the_cpu(model: Model, moving_landmarks: np.ndarray, dtype: str) -> None:
    here = frames(Pipeline(copy.deepcopy(model)), moving_landmarks)
    there = frames(Pipeline(copy.deepcopy(model), device="cuda", dtype=dtype), moving_landmarks)
    assert np.abs(here - there).mean() < 1
