"""`emojibench accel` as a user starts it, on four frames and a few steps."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from emojibench.errors import UserError
from emojibench.fye.acceleration import matrix
from emojibench.runs.api import run

MATRIX = """
base: {title: Uncached, groups: [table3, floor], options: {cache: none, steps: "4"}}
idle: {title: Nothing skipped, groups: [table3], method: fye+tic, options: {steps: "4", interval: "1"}}
tic: {title: Two of four, groups: [table3, beyond], method: fye+tic, options: {steps: "4", interval: "2", mask: none}}
more: {title: Six steps, groups: [floor], options: {cache: none, steps: "6"}}
"""
COMMAND = [
    "accel",
    "--matrix",
    "rows.yaml",
    "--dataset",
    "mini",
    "--clips",
    "2",
    "--frames",
    "4",
    "--traced",
    "1",
]
COMMAND += ["--floor-clips", "1", "--metrics", "l1", "--table", "pages/accel.md"]


class KilledError(BaseException):
    pass


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("rows.yaml").write_text(MATRIX)
    return tmp_path


@pytest.mark.slow  # starts two processes for each of four rows
def test_rows_are_compared_with_the_first_and_kept(
    folder: Path,
    emojibench: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    with monkeypatch.context() as killing:

        def dies(*arguments: object, **options: object) -> object:
            if "fye+tic" in arguments:
                raise KilledError
            return run(*arguments, **options)

        killing.setattr("emojibench.runs.api.run", dies)
        assert emojibench(*COMMAND) == 70
    assert "| Uncached " in Path("pages/accel.md").read_text()  # what is finished is readable at any time
    first = Path("acceleration/traces/base").glob("*.npz")
    made = {path: path.stat().st_mtime_ns for path in first}
    assert len(made) == 1
    capfd.readouterr()

    assert emojibench(*COMMAND) == 0
    printed = capfd.readouterr()
    assert printed.out == Path("pages/accel.md").read_text()
    assert all(path.stat().st_mtime_ns == time for path, time in made.items())
    rows = {row["name"]: row for row in json.loads(Path("pages/accel.json").read_text())["rows"]}
    assert rows["idle"]["latent"]["mean"] == rows["idle"]["mse"]["mean"] == 0
    assert rows["idle"]["flops_speedup"] == 1
    assert rows["idle"]["cached_step"] is None
    assert rows["tic"]["latent_tail"] >= rows["tic"]["latent"]["mean"] > 0
    assert rows["tic"]["mse"]["mean"] > 0
    assert rows["tic"]["cached_bytes"] > 0
    # All of two of four steps are left out but the output layers.
    assert 1.7 < rows["tic"]["flops_speedup"] < 2
    assert rows["tic"]["cached_step"] == pytest.approx(2 / rows["tic"]["flops_speedup"] - 1, rel=0.01)
    assert rows["more"]["flops_speedup"] == pytest.approx(4 / 6, rel=0.05)
    assert [rows[name]["clips"] for name in ("base", "tic", "more")] == [2, 2, 1]  # more is a floor
    assert rows["more"]["latent_far"] == 0 < rows["base"]["latent_far"]
    assert rows["tic"]["metrics"]["l1"] != rows["base"]["metrics"]["l1"] == rows["idle"]["metrics"]["l1"]
    assert "Published: Tables 3 and 5" in printed.out

    with Path("pages/steps.csv").open() as file:
        curves = list(csv.DictReader(file))
    assert [row["step"] for row in curves] == ["0", "1", "2", "3", "4"]
    assert set(curves[0]) == {"step", "idle", "tic", "more"}
    assert [bool(row["more"]) for row in curves] == [True, False] * 2 + [True]  # of six steps, two are shared
    assert float(curves[1]["tic"]) == 0 < float(curves[2]["tic"])
    for name in ("pareto", "steps"):
        with Image.open(f"pages/{name}.png") as picture:
            assert len(picture.convert("L").getcolors(256) or ()) > 20

    runs = {p: p.stat().st_mtime_ns for p in Path("acceleration").rglob("*") if p.suffix in (".mkv", ".npz")}
    assert emojibench(*COMMAND, "--rows", "tic") == 0
    assert all(path.stat().st_mtime_ns == time for path, time in runs.items())
    # The other rows were not asked for, but are there.
    assert capfd.readouterr().out == printed.out == Path("pages/accel.md").read_text()
    assert emojibench(*COMMAND, "--rows", "tic", "--overwrite") == 0
    again = {path for path, time in runs.items() if path.stat().st_mtime_ns != time}
    assert {path.parts[2] for path in again if path.suffix == ".mkv"} == {"tic"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: {title: A}", "row 'base': groups: Field required"),
        ("base: {title: A, groups: [table9]}", "row 'base': groups.0: Input should be 'table3'"),
        (
            "base: {title: A, groups: [], options: {steps: 4}}",
            "row 'base': options.steps: Input should be a valid string",
        ),
        ("base: {titel: A, groups: []}", "unknown key 'titel'. Did you mean 'title'?"),
        (
            "a: {title: A, groups: []}\nb: {title: B, groups: [], against: b}",
            "compared with the first, a, got 'b'",
        ),
        ("[]", "rows.yaml: expected an object (key: value), got a list"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "rows.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        matrix.read(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_method_that_does_not_denoise_is_refused(folder: Path, refused: Callable[..., str]) -> None:
    Path("other.yaml").write_text("warp: {title: Warp, groups: [floor], method: landmark-warp}")
    message = refused("accel", "--dataset", "mini", "--clips", "1", "--matrix", "other.yaml")
    assert "error: row 'warp': method landmark-warp does not denoise" in message
    assert not Path("acceleration").exists()
