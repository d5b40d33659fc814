"""`benchmarks/cuda_acceleration.py` on a tiny network, so that it is known to work before a GPU is at hand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "cuda_acceleration.py"
QUICK = ["--small", "--sizes", "128", "--dtypes", "fp32", "--frames", "2", "--window", "2", "--repeats", "1"]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.slow  # traces every network for each of its shapes
@pytest.mark.parametrize(
    "counts",
    # By rows that run the whole network: landmarks cost what they cost, and so does the rest of a skipped step.
    [
        {"near-lossless": (0.82, 60 / 16), "balanced": (0.82, 60 / 11)},
        {"tic": (0.82, 3.0), "deepcache": (0.5, 3.0)},
    ],
    ids=["presets", "caches"],
)
def test_it_checks_and_times_each_method_eager_and_compiled(counts: dict[str, tuple[float, float]]) -> None:
    # The backend named eager traces and guards as a compiler does and compiles nothing, which would take minutes.
    result = run(*QUICK, "--methods", *counts, "--backend", "eager")
    assert result.returncode == 0, result.stderr
    _, checks, *tables = result.stdout.split("\n128 px, fp32, ")
    same, others = re.fullmatch(r"\d+ s, checks: same output (\S+), (.+)\n", checks).groups()  # type: ignore[union-attr]
    assert 0 < float(same) < 1e-5
    assert others.startswith("full steps 0, compiled 0, waiting not checked")
    assert [table.split()[0] for table in tables] == ["eager", "compiled"]
    for table in tables:
        rows = {line[:14].strip(): line[14:].split() for line in table.splitlines()[2:6]}
        assert list(rows) == ["released loop", "uncached", *counts]
        base_flops, _, base_seconds, _ = map(float, rows["uncached"][:4])
        for name, (share, most) in counts.items():
            flops, counted, seconds, speedup = map(float, rows[name][:4])
            assert counted == pytest.approx(base_flops / flops, rel=1e-3)
            assert speedup == pytest.approx(base_seconds / seconds, rel=0.02)
            assert share * most < counted < most
        assert "the bar is" not in table  # a tiny network has none


@pytest.mark.slow
def test_a_wrong_option_is_one_line() -> None:
    result = run("--small", "--sizes", "100")
    assert result.returncode == 2
    assert "--sizes: expected multiples of 64 from 128 on, got [100]" in result.stderr
    assert result.stderr.count("\n") == 1
