"""What is wrong with a command's YAML file, or with the machine it meets, is said in one line that names it."""

from pathlib import Path
from typing import Any

import pytest
from command_clips import make_clip

from emojibench.errors import UserError
from emojibench.methods.command import Command

WRONG = {
    "an unknown placeholder": ({"command": "run {portrat}"}, "unknown placeholder 'portrat'. Did you mean 'portrait'?"),
    "half a brace": ({"command": "run {portrait"}, "'{portrait': expected '}' before end of string"),
    "an unknown placeholder of the output": ({"output": {"pattern": "{oit}"}}, "'{oit}': unknown placeholder"),
    "an unclosed quote": ({"command": "run 'it"}, "steps.0: \"run 'it\": No closing quotation"),
    "no command": ({"command": None}, "command: missing"),
    "an empty command": ({"command": ""}, "steps.0: "),
    "two kinds of command": ({"steps": [["run"]]}, "command and steps: expected one of the two"),
    "no name": ({"name": None}, "name: missing"),
    "a name with a slash": ({"name": "a/b"}, "name: "),
    "a misspelt field": ({"outptu": {}}, "outptu: unknown field 'outptu'. Did you mean 'output'?"),
    "a misspelt inner field": ({"output": {"patern": "x"}}, "output.patern: unknown field 'patern'. Did you"),
    "another type": ({"time_limit": "soon"}, "as a number, got 'soon'"),
    "no rate": ({"output": {"fps": 0}}, "output.fps.constrained-float: Input should be greater than or equal to 1"),
    "no time": ({"time_limit": 0}, "time_limit: Input should be greater than 0, got 0"),
    "an unknown form": ({"input": "driving.gif"}, "input: Input should be 'driving.mkv'"),
    "a list of clips that is not used": ({"batch": 4}, "batch: only a command that takes {clips}"),
    "a clip's value in a command of many": ({"command": "run {clips} {seed}"}, "{seed} differs from clip to clip"),
    "a pipe": ({"command": "run {portrait} | tee log"}, "no shell reads it, so | would be a word like any other"),
    "an impossible variable": ({"variables": {"A=B": "x"}}, "variables.A=B.[key]: String should match pattern"),
    "a file over its input": ({"writes": {"in/portrait.png": ""}}, "'in/portrait.png': in is written by the benchmark"),
    "a file without a name": ({"writes": {"": ""}}, "'': expected the name of a file below {scratch}"),
    "a long name": ({"writes": {"a" * 300: ""}}, "expected the name of a file below {scratch}"),
    "a file elsewhere": ({"writes": {"../x": ""}}, "'../x': expected the name of a file below {scratch}"),
    "a motion that is not in the command": (
        {"motion": {"mode": "absolute", "switch": {"absolute": ["--abs"]}}}, "motion: steps lack --abs of mode absolute"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file(description: Any, case: str) -> None:
    fields, reason = WRONG[case]
    path: Path = description(**fields)
    with pytest.raises(UserError) as caught:
        Command(path)({})
    assert str(caught.value).startswith(f"{path}: ")
    assert reason in str(caught.value)
    assert str(caught.value).endswith("; correct the file")


MISSING = {
    "its repository": ({"revision": {"checkout": "gone"}}, "no repository at {here}/gone"),
    "a repository that is not named": ({"command": "python {repo}/demo.py"}, "its repository is missing"),
    "its environment": ({"environment": {"path": "venv"}}, "no environment at {here}/venv"),
    "its working directory": ({"working_directory": "work"}, "got 'work' (no folder {here}/work)"),
    "a file of its revision": ({"revision": {"files": ["weights.bin"]}}, "{here}/weights.bin: no such file"),
    "its program": ({"command": "no-such-program {portrait}"}, "fake: command not found: 'no-such-program'"),
    "its script": ({"command": "./animate.sh {portrait}"}, "command not found: './animate.sh'"),
}


@pytest.mark.parametrize("case", MISSING)
def test_something_is_missing(description: Any, tmp_path: Path, case: str) -> None:
    fields, reason = MISSING[case]
    path = description(**fields)
    with pytest.raises(UserError) as caught:
        Command(path)({}).animate(make_clip(), seed=1, progress=lambda *_: None)
    assert reason.replace("{here}", str(tmp_path)) in str(caught.value)


def test_a_clip_without_video_fails_where_video_is_needed(method: Any) -> None:
    with pytest.raises(
        UserError, match=r"fake needs driving\.mkv of clip clip-0, .* landmarks .*, and no frames"
    ):
        method().animate(make_clip(video=False), seed=1, progress=lambda *_: None)


def test_an_environment_without_python(method: Any, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    with pytest.raises(
        UserError, match=r"venv: no environment: expected .*/venv/bin/python; make it with `uv venv"
    ):
        method(environment={"path": "venv"}).animate(make_clip(), seed=1, progress=lambda *_: None)


def test_a_gpu_is_asked_for(method: Any) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(UserError, match="fake needs a CUDA GPU, and there is none here"):
        method(device=["cuda"])
