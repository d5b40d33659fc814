"""Descriptions of other people's methods: whole, and true to the repositories where these are at hand.

The tests marked `external` compare the command lines with the repositories' own parsers. They look for checkouts, one
folder each by the repository's name, in the folder that EMOJIBENCH_CHECKOUTS names.
"""

import ast
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from emojibench_baselines.external.description import FOLDER, Description, load, names, read_description
from emojibench_baselines.external.setting_up import requirements
from packaging.requirements import Requirement

from emojibench.dataset import load_dataset
from emojibench.errors import UserError
from emojibench.media.sound import samples_of
from emojibench.methods.jobs import Job
from emojibench.methods.places import Places
from emojibench.methods.templates import placeholders

CHECKOUTS = os.environ.get("EMOJIBENCH_CHECKOUTS")
RUNNABLE = [name for name in names() if load(name).state.runnable]


def test_the_rows_of_the_papers_tables_are_there():
    rows = {
        table: {load(name).title for name in names() if table in load(name).tables} for table in (1, 7, 8)
    }
    assert {title.split(" [")[0] for title in rows[1]} == {
        "Face Vid2vid", "DaGAN", "TPS", "MCNet", "FADM", "MagicDance", "AniPortrait", "FollowYourEmoji",
    }  # fmt: skip
    assert {title.split(" [")[0] for title in rows[7]} == {"SadTalker", "Hallo", "V-Express", "AniPortrait"}
    assert {title.split(" [")[0] for title in rows[8]} == {"HunyuanPortrait", "MV portrait", "WAN-2.1"}


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_runnable_method_is_given_portrait_and_driving(name):
    described = load(name)
    used = described.uses
    assert {"portrait"} < used & {"portrait", "driving", "sound"}
    assert {"out", "scratch"} & placeholders(described.output.pattern)
    if described.checkpoints:
        assert "weights" in used or any(checkpoint.in_repository for checkpoint in described.checkpoints)


@pytest.mark.parametrize("name", RUNNABLE)
def test_requirements_are_pinned(name):
    wanted = load(name).environment
    assert wanted.python
    for pin in wanted.pins:
        requirement = Requirement(pin)
        assert [each.operator for each in requirement.specifier] == ["=="], pin
        assert not requirement.url
    for late in wanted.afterwards:
        requirement = Requirement(late)
        assert re.search(r"@[0-9a-f]{40}$", requirement.url or "") or str(requirement.specifier).startswith(
            "=="
        ), late
    assert wanted.resolved or "Installed" in wanted.note


@pytest.mark.parametrize("name", RUNNABLE)
def test_no_more_is_fetched_of_a_hub_than_is_read(name):
    for checkpoint in load(name).checkpoints:
        address = urlsplit(checkpoint.url)
        if address.netloc == "huggingface.co":
            steps = Path(address.path).parts[3:]
            if steps[:1] == ("resolve",):
                assert steps[-1] == Path(checkpoint.file).name
            else:
                assert checkpoint.only, checkpoint.file
                assert not Path(checkpoint.file).suffix or checkpoint.file.startswith(("stable-", "Wan2.2-"))


def broken(**changes):
    """Content of tps.yaml with some fields changed; None leaves one out."""
    values = yaml.safe_load((FOLDER / "tps.yaml").read_text()) | changes
    return {key: value for key, value in values.items() if value is not None}


BAD = {
    "an unknown placeholder": (broken(steps=[["python", "{portrai}"]]), "Did you mean 'portrait'?"),
    "half a brace": (broken(steps=[["python", "{portrait"]]), "steps|brace|expected '}'"),
    "an index": (broken(steps=[["python", "{portrait[0]}"]]), "expected a name in the braces"),
    "a format": (broken(steps=[["python", "{seed:d}"]]), "expected a name in the braces"),
    "no command": (broken(steps=[], parsers=[]), "command: missing"),
    "an empty command": (broken(steps=[[]]), "steps.0: "),
    "no licence": (broken(licence=None), "a runnable method lacks licence"),
    "a short commit": (
        broken(repository={"url": "https://github.com/a/b", "commit": "c6168", "date": "2023-07-08"}),
        "repository.commit: ",
    ),
    "a repository elsewhere": (
        broken(repository={"url": "file:///etc", "commit": "c" * 40, "date": "2023-07-08"}),
        "repository.url: ",
    ),
    "a misspelt field": (broken(devices=["cpu"]), "devices: "),
    "a reason that is missing": (broken(state={"runnable": False}), "state: a method that cannot run needs a reason"),
    "a mode without its arguments": (
        broken(motion={"mode": "absolute", "switch": {"absolute": ["--absolute"]}}),
        "steps lack --absolute of mode absolute",
    ),
    "a parser of no step": (
        broken(parsers=[{"step": 3, "file": "demo.py", "kind": "argparse"}]),
        "there is no step 3",
    ),
    "another name": (broken(name="tpss"), "name: expected the file's, 'tps', got 'tpss'"),
    "a list": ([1], "expected an object"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_with_a_description_is_named(tmp_path, case):
    values, message = BAD[case]
    path = tmp_path / "tps.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=rf"tps\.yaml: .*({message.replace('?', '[?]')})"):
        read_description(path)


def test_a_misspelt_method_is_named():
    with pytest.raises(UserError, match=r"unknown baseline 'mcnett'\. Did you mean 'mcnet'\?"):
        load("mcnett")


def checkout(described: Description) -> Path:
    """The checkout of a description's repository, or the reason to skip."""
    if CHECKOUTS is None:
        pytest.skip("EMOJIBENCH_CHECKOUTS names no folder of checkouts")
    folder = Path(CHECKOUTS) / described.repository.url.rpartition("/")[2]
    if not folder.is_dir():
        pytest.skip(f"no checkout of {described.repository.url} in {CHECKOUTS}")
    return folder


def argparse_options(source: str) -> dict[str, dict]:
    """Option name to the plain keywords of its `add_argument`."""
    options = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            keywords = {
                keyword.arg: keyword.value.value
                if isinstance(keyword.value, ast.Constant)
                else [getattr(item, "value", None) for item in getattr(keyword.value, "elts", ())]
                for keyword in node.keywords
            }
            for argument in node.args:
                if isinstance(argument, ast.Constant) and str(argument.value).startswith("-"):
                    options[argument.value] = keywords
    return options


def tyro_options(source: str) -> dict[str, dict]:
    """Option name to what is known of it: flags take no value, and have a `no_` twin."""
    options = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            flag = {"action": "store_true"} if ast.unparse(node.annotation) == "bool" else {}
            options[f"--{node.target.id}"] = flag
            if flag:
                options[f"--no_{node.target.id}"] = flag
    return options


def built(described: Description, root: Path, folder: Path) -> list[list[str]]:
    """The words that the runner would start, after everything that they name has been written."""
    places = Places(here=FOLDER, repo=root, weights=folder / "weights")
    dataset = load_dataset("mini")
    clip = dataset.clip(dataset.chosen("cross", 1)[0]).cut(4)
    clip = replace(clip, load_driving_sound=lambda: np.zeros(samples_of(4, clip.driving.fps), np.int16))
    job = Job(described, places, folder, [clip], [7])
    if described.input == "motion.npy":  # what mini does not hold; the runner says so
        with pytest.raises(UserError, match="--detector task"):
            job.prepare()
    else:
        job.prepare()
        given = {"driving": described.input, "sound": "sound.wav"}
        inputs = [f"in/{name}" for placeholder, name in given.items() if placeholder in described.uses]
        for name in [*inputs, *described.derives]:
            assert (job.scratch / name).exists()
    commands = job.commands(cpu="cpu" in described.device)
    assert not [word for step in commands for word in step if re.search(r"[{][a-z]+[}]", word)]
    return commands


@pytest.mark.external
@pytest.mark.parametrize("name", RUNNABLE)
def test_arguments_are_those_of_the_repositorys_parser(name, tmp_path):
    described = load(name)
    root = checkout(described)
    commands = built(described, root, tmp_path)
    for parser in described.parsers:
        source = (root / parser.file).read_text()
        options = argparse_options(source) if parser.kind == "argparse" else tyro_options(source)
        assert options
        step = commands[parser.step]
        module = parser.file.removesuffix(".py").replace("/", ".")
        scripts = [n for n, word in enumerate(step) if word == module or word.endswith(".py")]
        rest = step[scripts[0] + 1 :]
        given = [word for word in rest if word.startswith("-") and not word[1:2].isdigit()]
        assert set(given) <= set(options)
        required = {option for option, keywords in options.items() if keywords.get("required") is True}
        assert required <= set(given)
        for option, following in zip(rest, [*rest[1:], "-"], strict=True):
            if option not in options:
                continue
            takes_none = str(options[option].get("action", "")).startswith("store_")
            assert takes_none == (following.startswith("-") and not following[1:2].isdigit()), option
            choices = options[option].get("choices")
            assert not choices or following in choices, option


@pytest.mark.external
@pytest.mark.slow
@pytest.mark.parametrize("name", RUNNABLE)
def test_requirements_go_together(name, tmp_path):
    described = load(name)
    files, options = requirements(described.environment, described.repository, checkout(described), tmp_path)
    where = ["--python-version", described.environment.python, "--python-platform", "x86_64-manylinux_2_31"]
    done = subprocess.run(
        ["uv", "pip", "compile", "--quiet", *options, *where, *files], capture_output=True, text=True
    )
    if "error sending request" in done.stderr:
        pytest.skip(f"no registry here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert "torch==" in done.stdout


@pytest.mark.external
@pytest.mark.parametrize("name", RUNNABLE)
def test_files_that_a_description_names_are_in_the_repository(name):
    described = load(name)
    root = checkout(described)
    licence = [described.licence.file] if described.licence.file else []
    requirements = [described.environment.requirements] if described.environment.requirements else []
    for file in [*licence, *requirements, *(read.file for read in described.read)]:
        assert (root / file).is_file(), file
    for derived in described.derives.values():
        assert set(derived.values) <= set(yaml.safe_load((root / derived.source).read_text()))
    if shutil.which("git") and (root / ".git").exists():
        head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True)
        assert head.stdout.strip() == described.repository.commit
