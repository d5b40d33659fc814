"""Every rival on the tiny animator, from its options to frames."""

import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from emojibench_baselines.fye.methods import DEEPCACHE, FASTER, PAB, PRUNE, REUSE, TIC, TOME
from emojibench_baselines.fye.reference_model import ReferenceModel, Spec
from emojibench_baselines.fye.schedules import centered
from fye_faster.accel.accelerator import ClipInfo
from fye_faster.models.checkpoint import Model
from fye_faster.nets.animator import motion_modules
from fye_faster.pipelines.mini import Pipeline
from test_fye_faster import clip
from tiny_model import TINY
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from emojibench.errors import UserError
from emojibench.methods import Method

STEPS = "4"
Options = dict[str, str]


@pytest.fixture(scope="module")
def model() -> Model:
    torch.manual_seed(0)
    model = Model(replace(TINY, guided=0.5))
    for module in motion_modules(model.animator.denoiser):  # a trained model's are not zero
        nn.init.normal_(module.proj_out.weight, std=0.1)
    return model


@pytest.fixture(autouse=True)
def tiny_pipeline(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pipeline, "from_preset", lambda _name, _weights, **how: Pipeline(model, **how))


def animate(method: ReferenceModel) -> np.ndarray:
    """Frames of a clip of three windows."""
    return method.animate(clip(6), seed=1, progress=lambda done, total: None).frames


def counted(method: ReferenceModel) -> tuple[np.ndarray, int]:
    """The same, and counted FLOPs."""
    with FlopCounterMode(display=False) as counter:
        frames = animate(method)
    return frames, counter.get_total_flops()


@pytest.fixture(scope="module")
def plain(model: Model) -> tuple[np.ndarray, int]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pipeline, "from_preset", lambda _name, _weights, **how: Pipeline(model, **how))
        return counted(FASTER({"steps": STEPS}))


def state(model: Model) -> list[tuple[object, int, int]]:
    return [
        (m.__dict__.get("forward"), len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()
    ]


CASES: list[tuple[Spec, Options, Options]] = [
    (TIC, {"interval": "1"}, {}),
    (TIC, {"schedule": "0,1,2,3"}, {"schedule": "0,1,2", "mask": "face", "predictor": "newton"}),
    (TIC, {"first": "4", "schedule": "warm-up"}, {"schedule": "warm-up", "first": "2", "scope": "deep"}),
    (TIC, {"schedule": "adaptive", "threshold": "1e-9"}, {"schedule": "adaptive", "threshold": "9"}),
    (REUSE, {"interval": "1"}, {}),
    (DEEPCACHE, {"interval": "1"}, {"cut": "2"}),
    (DEEPCACHE, {"interval": "1", "cut": "1"}, {"schedule": "non-uniform", "interval": "2"}),
    (PAB, {"spatial": "1", "cross": "1", "temporal": "1"}, {}),
    (PAB, {"low": "999", "high": "1000"}, {"temporal": "1"}),
    (TOME, {"ratio": "0"}, {}),
    (TOME, {"ratio": "0", "downsample": "8"}, {"ratio": "0.75", "downsample": "8"}),
    (PRUNE, {"ratio": "0"}, {"ratio": "0.75"}),
]


@pytest.mark.parametrize(("kind", "idle", "active"), CASES)
def test_idle_settings_change_nothing_and_active_ones_cost_less_and_leave_no_trace(
    model: Model, plain: tuple[np.ndarray, int], kind: Spec, idle: Options, active: Options
) -> None:
    before = state(model)
    assert np.array_equal(animate(kind({"steps": STEPS, **idle})), plain[0])
    method = kind({"steps": STEPS, **active})
    assert isinstance(method, Method)
    frames, cost = counted(method)
    assert not np.array_equal(frames, plain[0])
    assert cost < plain[1]
    assert state(model) == before
    assert np.array_equal(animate(FASTER({"steps": STEPS})), plain[0])


def test_a_second_clip_is_made_like_the_first() -> None:
    for kind in (TIC, PAB, TOME, PRUNE):
        method = kind({"steps": "2"})
        assert np.array_equal(animate(method), animate(method))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", [TIC, DEEPCACHE, PAB, TOME, PRUNE])
def test_half_precision_inputs(model: Model, kind: Spec, dtype: torch.dtype) -> None:
    method = kind({"steps": "2"})
    method._pipeline.dtype = dtype  # mixed precision; the weights stay as they are for the other tests
    assert animate(method).shape == (6, 256, 256, 3)


def test_only_adaptive_schedules_have_clips_counted_one_by_one() -> None:
    for kind, _, active in CASES:
        method = kind({"steps": STEPS, **active})
        assert method.cost_by_shape == (active.get("schedule") != "adaptive")
        assert method.size == method._pipeline.preset.resolution


def test_all_settings_are_part_of_the_revision() -> None:
    methods = [kind({"steps": STEPS, **active}) for kind, _, active in CASES]
    assert len({(method.name, method.revision) for method in methods}) == len(methods)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (TIC, {"interval": "0"}, "fye\\+tic: interval: expected N from 1 to 4 .*, got 0"),
        (TIC, {"order": "9"}, "order: expected O from 0 to 4, got 9"),
        (TIC, {"scope": "all"}, "scope: expected one of attention, .*, got 'all'"),
        (TIC, {"schedule": "1,2"}, "step 0 must be a full step"),
        (TIC, {"schedule": "often"}, "expected uniform, warm-up, adaptive or full steps .*, got 'often'"),
        (TIC, {"cap": "2"}, "cap: schedule uniform takes none, got 2"),
        (TIC, {"schedule": "0,3", "interval": "3"}, "interval: schedule 0,3 takes none, got 3"),
        (TIC, {"schedule": "adaptive"}, "threshold: schedule adaptive needs one"),
        (REUSE, {"order": "1"}, "unknown option of fye\\+reuse 'order'"),
        (DEEPCACHE, {"cut": "3"}, "cut: expected 0 to 2, got 3"),
        (DEEPCACHE, {"power": "2"}, "power: schedule uniform takes none, got 2.0"),
        (
            DEEPCACHE,
            {"schedule": "non-uniform", "center": "4"},
            "center: expected a step from 1 to 3, got 4",
        ),
        (PAB, {"cross": "0"}, "cross: expected a range of 1 .* to 1000 steps, got 0"),
        (PAB, {"low": "900"}, "expected 0 <= low < high <= 1000, got 900 and 800"),
        (TOME, {"ratio": "0.8"}, "ratio: expected 0 .* to 0.75, got 0.8"),
        (TOME, {"downsample": "3"}, "downsample: expected one of 1, 2, 4, 8, got 3"),
        (PRUNE, {"noise": "-1"}, "noise: expected 0 to 1000, got -1"),
    ],
)
def test_bad_options_are_user_errors(kind: Spec, options: Options, message: str) -> None:
    with pytest.raises(UserError, match=message):
        kind({"steps": STEPS, **options})


@pytest.mark.parametrize("kind", [TIC, DEEPCACHE, PAB, TOME, PRUNE])
def test_a_network_without_the_modules_is_refused_by_what_was_looked_for(kind: Spec) -> None:
    accelerator = kind({"steps": STEPS})._accelerator
    assert accelerator is not None
    accelerator.scheduler(int(STEPS))
    clip_info = ClipInfo(1, (4, 4), lambda frames: torch.zeros(len(frames), 3, 64, 64))
    wanted = r"(?s)(looked for .*|expected a diffusers UNet.*)Linear"
    with pytest.raises(ValueError, match=wanted), accelerator.attached(nn.Linear(1, 1), clip_info):
        pass


def test_the_non_uniform_schedule_is_that_of_the_published_code() -> None:
    assert centered(50, 5, 15, 1.4) == [0, 5, 9, 13, 17, 21, 26, 31, 37, 43]
    assert centered(30, 3, 9, 1.2) == [0, 3, 6, 9, 10, 13, 16, 19, 23, 26]
    with pytest.raises(ValueError, match="coincide"):
        centered(30, 1, 9, 1.4)


def entry_points() -> dict[str, str]:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    return tomllib.loads(text)["project"]["entry-points"]["emojibench.methods"]


@pytest.mark.parametrize("name", [name for name in entry_points() if name.startswith("fye+")])
def test_each_rival_is_registered_under_its_name(name: str) -> None:
    module, _, attribute = entry_points()[name].partition(":")
    method: Callable[[Options], Method] = getattr(import_module(module), attribute)
    assert method({}).name == name
