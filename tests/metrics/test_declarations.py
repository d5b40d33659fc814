"""What the registry reads of metrics without weights: names, directions, columns."""

import subprocess
import sys
import tomllib
from pathlib import Path

import emojibench_metrics.cost
import pytest
from emojibench_metrics.interface import Traits

ROOT = Path(__file__).parents[2]
POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["emojibench.metrics"]
OURS = {name: value for name, value in POINTS.items() if value.startswith("emojibench_metrics.")}


def load(value):
    from importlib.metadata import EntryPoint

    return EntryPoint("", value, "").load()


@pytest.mark.parametrize("name", OURS)
def test_traits_are_readable_without_weights(name):
    factory = load(OURS[name])
    assert factory.kind in ("clip", "set")
    assert factory.traits
    for traits in factory.traits:
        assert isinstance(traits, Traits)
        assert traits.source
        assert traits.better in ("higher", "lower", "none")
        low, high = traits.valid_range
        assert low < high
    assert factory.__doc__


def test_columns_are_unique_over_all_metrics():
    columns = [traits.name for value in OURS.values() for traits in load(value).traits]
    columns += [traits.name for traits in emojibench_metrics.cost.TRAITS]
    assert len(columns) == len(set(columns))


def test_stage_latency_columns():
    assert emojibench_metrics.cost.stage_latency("denoise").name == "latency_denoise_s"
    with pytest.raises(ValueError, match="stage name 'a b'"):
        emojibench_metrics.cost.stage_latency("a b")


def test_reading_traits_loads_nothing_heavy():
    modules = sorted({value.partition(":")[0] for value in OURS.values()})
    heavy = ["torch", "cv2", "onnxruntime", "insightface", "pyiqa", "lpips", "scipy", "skimage", "pandas"]
    code = (
        f"import sys, importlib; [importlib.import_module(m) for m in {modules}];"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
