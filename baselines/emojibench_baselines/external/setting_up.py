"""`emojibench baselines setup`: licence, repository, environment, checkpoints, one after the other.

What is there and right is left alone, and each part is recorded when it is done, so that a set-up that was killed goes
on where it stopped.
"""

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from emojibench.errors import UnavailableError, UserError
from emojibench.files.reading import is_folder, read_bytes, read_text
from emojibench.files.writing import write_text
from emojibench.methods.description import Environment, Strict
from emojibench.weights import download
from emojibench_baselines.external import checkpoints, records
from emojibench_baselines.external.description import Description, Repository, load
from emojibench_baselines.external.records import VERSIONS, Record

Tell = Callable[[str], None]
"""Receives a line of progress."""
_REQUIREMENTS_LIMIT = 1 << 20
_OTHER_INDEX = re.compile(r"\s*(--find-links|--(extra-)?index-url|-f|-i)\b")
_INCLUDED = re.compile(r"^\s*(-r|-c|--requirement|--constraint)[\s=]+(?=[^/\s])")
_TAIL = 15
"""Lines of a program's complaint that are repeated in the error."""


class Part(Strict):
    """What became of one part of a set-up."""

    part: str
    state: str
    """`done`, `there` or `missing`."""
    what: str


def setup(
    name: str,
    *,
    repo: Path | None = None,
    weights: Path | None = None,
    accept_licence: bool = False,
    random_weights: bool = False,
    extra: Sequence[str] = (),
    tell: Tell,
) -> list[Part]:
    """Make a baseline ready, as far as that goes; every part is tried.

    Args:
        name: of a baseline.
        repo: a checkout that is there already; None: the pinned commit is fetched.
        weights: folder of checkpoints, laid out by their `file`; those that are missing are fetched into it.
        accept_licence: whether the user accepts the terms, which are told first.
        random_weights: the checkpoints are of the right structure and not trained; rows say so.
        extra: requirements that are installed over the pins.
        tell: receives progress.

    Raises:
        UserError: no such baseline, it cannot run, its licence is not accepted, the repository or the environment
            cannot be had, or a checkpoint is not the right one.
    """
    description = load(name)
    if not description.state.runnable:
        raise UserError(f"{name}: cannot run: {description.state.reason}")
    repo, weights = _existing(repo, "--repo"), _existing(weights, "--weights")
    _last_of_each(extra)
    with _alone(name):
        record = _with_licence(description, records.read(name), accept_licence, tell)
        record, cloned = _with_repository(description, record, repo, tell)
        built = _environment(description, record, extra, tell)
        record = _with_weights(record, weights, random_weights)
        return [cloned, built, *_checkpoints(description, record, tell)]


def _with_licence(description: Description, record: Record, accepted: bool, tell: Tell) -> Record:
    licence = description.licence
    assert licence is not None
    use = {True: "allowed", False: "not allowed", None: "not stated"}[licence.commercial]
    tell(f"licence of {description.name}: {licence.name}; commercial use: {use}")
    if licence.note:
        tell(f"  {licence.note}")
    if record.licence == licence.name:
        return record
    if not accepted:
        raise UserError(
            f"{description.name}: its licence ({licence.name}; commercial use {use}) is not accepted; read it"
            f"{_address(description, licence.file)}, then add --accept-licence"
        )
    record = record.model_copy(update={"licence": licence.name})
    records.write(description.name, record)
    return record


def _address(description: Description, file: str | None) -> str:
    repository = description.repository
    assert repository is not None
    return f" at {repository.url}/blob/{repository.commit}/{file}" if file else f" up at {repository.url}"


def _with_repository(
    description: Description, record: Record, given: Path | None, tell: Tell
) -> tuple[Record, Part]:
    repository = description.repository
    assert repository is not None
    state = "there"
    if given is not None:
        place = given
    elif record.repo and record.repo.is_dir():
        place = record.repo
    else:
        place = records.home() / "checkouts" / f"{repository.url.rpartition('/')[2]}-{repository.commit[:12]}"
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.with_name(f"{place.name}.lock")):  # other baselines may use the same checkout
            state = "there" if place.is_dir() else "done"
            if not place.is_dir():
                _clone(repository, place, tell)
    scripts = [parser.file for parser in description.parsers]
    if absent := [file for file in scripts if not (place / file).is_file()]:
        raise UserError(
            f"{place}: expected a checkout of {repository.url}, got a folder without {absent[0]}; correct --repo"
        )
    commit = commit_of(place)
    if warning := other_commit(repository, commit):
        tell(f"warning: {place}: {warning}")
    record = record.model_copy(update={"repo": place, "commit": commit})
    records.write(description.name, record)
    return record, Part(part="repository", state=state, what=f"{place} at {commit or 'an unknown commit'}")


def commit_of(checkout: Path) -> str:
    """The commit of a checkout, `changed` behind it where tracked files differ; empty where git cannot tell."""
    if shutil.which("git") is None or not (checkout / ".git").exists():
        return ""
    head = _git("-C", checkout, "rev-parse", "HEAD")
    if head.returncode:
        return ""
    # Files that are absent are no change: pictures of a README are often left out.
    different = _git("-C", checkout, "diff", "--name-only", "--diff-filter=d", "HEAD").stdout.strip()
    return head.stdout.strip() + (" changed" if different else "")


def other_commit(repository: Repository, commit: str) -> str:
    """What to say where a checkout is not at the pinned commit; empty where it is."""
    if commit == repository.commit:
        return ""
    got = "of which git tells no commit" if not commit else f"at {commit}"
    return (
        f"expected commit {repository.commit}, got a checkout {got}; its numbers are those of another version"
    )


def _git(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["git", *map(str, words)], capture_output=True, text=True, check=False)


def _clone(repository: Repository, place: Path, tell: Tell) -> None:
    """Fetch the pinned commit alone; the folder appears whole or not at all."""
    remedy = f"give a checkout of commit {repository.commit[:12]} by --repo"
    if download.offline():
        raise UserError(f"{repository.url} is not fetched, since {download.OFFLINE} is set; {remedy}")
    making = place.with_name(f"{place.name}.part")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    tell(f"fetching {repository.url} at {repository.commit[:12]}")
    try:
        for words in (
            ["init", "--quiet"],
            ["fetch", "--depth", "1", "--progress", repository.url, repository.commit],
            ["-c", "advice.detachedHead=false", "checkout", "--quiet", "FETCH_HEAD"],
        ):
            _run(["git", "-C", str(making), *words], f"{repository.url} cannot be fetched", tell)
    except UserError as error:
        raise UserError(f"{error}; without a network {remedy}") from error
    making.rename(place)


def _environment(description: Description, record: Record, extra: Sequence[str], tell: Tell) -> Part:
    wanted, place = description.environment, records.environment(description.name)
    assert wanted is not None
    assert description.repository is not None
    assert record.repo is not None
    versions = place / VERSIONS
    recipe = _recipe(wanted, description.repository, record.repo, extra)
    if versions.is_file() and read_text(versions).startswith(recipe):
        return Part(part="environment", state="there", what=str(place))
    uv = shutil.which(
        "uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    )
    if uv is None:
        raise UserError("uv: not found on the path; environments are made with it: `pip install uv`")
    tell(f"making the environment {place} (several GB where torch is not in uv's cache yet)")
    complaint = f"{description.name}: its environment does not resolve"
    version = ["--python", wanted.python] if wanted.python else []
    _run([uv, "venv", "--quiet", "--clear", *version, str(place)], complaint, tell)
    python = ["--python", str(place / "bin" / "python")]
    files, options = requirements(wanted, description.repository, record.repo, place, extra)
    from_files = [word for file in files for word in ("-r", str(file))]
    _run([uv, "pip", "install", *python, *from_files, *options], complaint, tell)
    if wanted.afterwards:
        options = ["--no-build-isolation", *options]
        _run([uv, "pip", "install", *python, *wanted.afterwards, *options], complaint, tell)
    frozen = subprocess.run([uv, "pip", "freeze", *python], capture_output=True, text=True, check=True)
    write_text(versions, recipe + frozen.stdout)
    return Part(part="environment", state="done", what=str(place))


def requirements(
    wanted: Environment, repository: Repository, repo: Path, folder: Path, extra: Sequence[str] = ()
) -> tuple[list[Path], list[str]]:
    """What an environment is made from: files of requirements, written to `folder`, and options of `uv pip`."""
    over, without = folder / "emojibench-pins.txt", folder / "emojibench-left-out.txt"
    write_text(over, "".join(f"{pin}\n" for pin in _last_of_each([*wanted.pins, *extra])))
    write_text(without, "".join(f"{name}\n" for name in wanted.left_out))
    files = [over]
    if wanted.requirements and wanted.requirements.endswith(".txt"):
        theirs = repo / wanted.requirements
        files.insert(0, folder / "emojibench-requirements.txt")
        write_text(files[0], _of_one_index(read_text(theirs, limit=_REQUIREMENTS_LIMIT), theirs.parent))
    # As the index was on the day of the commit: what no file pins is then the same for everybody.
    options = ["--overrides", str(over), "--exclude-newer", f"{repository.date}T23:59:59Z"]
    return files, [*options, *(["--excludes", str(without)] if wanted.left_out else [])]


def _of_one_index(text: str, folder: Path) -> str:
    """A file of requirements without other indexes, which know of no day, and with whole paths."""
    kept = (line for line in text.splitlines() if not _OTHER_INDEX.match(line))
    return "".join(_INCLUDED.sub(rf"\1 {folder}/", line) + "\n" for line in kept)


def _recipe(wanted: Environment, repository: Repository, repo: Path, extra: Sequence[str]) -> str:
    """First line of the list of versions: an environment that was made from anything else is made anew."""
    digest = hashlib.sha256()
    facts = (wanted.python, wanted.requirements, wanted.pins, wanted.left_out, list(extra), repository.date)
    digest.update(repr(facts + ((wanted.afterwards,) if wanted.afterwards else ())).encode())
    if wanted.requirements:
        digest.update(read_bytes(repo / wanted.requirements, limit=_REQUIREMENTS_LIMIT))
    return f"# made from {digest.hexdigest()}\n"


def _last_of_each(pins: Sequence[str]) -> list[str]:
    """Later requirements of a package take the place of earlier ones."""
    from packaging.requirements import InvalidRequirement, Requirement

    kept = {}
    for pin in pins:
        try:
            kept[Requirement(pin).name.lower().replace("_", "-")] = pin
        except InvalidRequirement as error:
            raise UserError(
                f"--with {pin!r}: expected a requirement as pip takes it, like torch==2.1.1"
            ) from error
    return list(kept.values())


def _with_weights(record: Record, given: Path | None, random: bool) -> Record:
    """Other weights are a new start; without any the old ones stay what they were said to be."""
    if given is None:
        return record.model_copy(update={"random_weights": record.random_weights or random})
    files = record.files if record.weights == given else {}
    return record.model_copy(update={"weights": given, "random_weights": random, "files": files})


def _checkpoints(description: Description, record: Record, tell: Tell) -> Iterator[Part]:
    place = records.weights(description.name, record)
    assert record.repo is not None
    for checkpoint in description.checkpoints:
        state = "there"
        if checkpoints.missing(checkpoint, place):
            state = "done"
            try:
                if record.random_weights:
                    raise UnavailableError(
                        f"{checkpoint.file}: not in {place}, which has random weights; put it there"
                    )
                checkpoints.fetch(checkpoint, place)
            except UnavailableError as error:
                yield Part(part="checkpoint", state="missing", what=str(error))
                continue
        tell(f"reading {place / checkpoint.file}")
        facts = checkpoints.examine(checkpoint, place, record.files)
        keys = f", {checkpoints.check_keys(checkpoint, place)}" if checkpoint.keys else ""
        record = record.model_copy(update={"files": {**record.files, **facts}})
        if checkpoint.in_repository and record.repo:
            checkpoints.link(checkpoint, place, record.repo)
        records.write(description.name, record)
        digest = next(iter(facts.values())).sha256[:12] if len(facts) == 1 else f"{len(facts)} files"
        yield Part(part="checkpoint", state=state, what=f"{place / checkpoint.file} ({digest}){keys}")
    records.write(description.name, record)


def _existing(path: Path | None, flag: str) -> Path | None:
    if path is None:
        return None
    if not is_folder(path):
        raise UserError(f"{flag} {path}: expected a folder that is there; correct the path")
    return path.absolute()


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    place = records.folder(name)
    try:
        place.mkdir(parents=True, exist_ok=True)
        lock = FileLock(place / ".lock", timeout=0)
    except OSError as error:
        raise UserError(
            f"{place}: cannot be made: {error.strerror}; set {records.HOME} to a folder that can be written"
        ) from error
    try:
        with lock:
            yield
    except Timeout:
        raise UserError(f"{name}: another process is setting it up; wait for it") from None


def _run(words: Sequence[str], complaint: str, tell: Tell) -> None:
    """Run a program and pass on what it says; the end of that is in the error."""
    environment = (
        os.environ | {"GIT_TERMINAL_PROMPT": "0"} | ({"UV_OFFLINE": "1"} if download.offline() else {})
    )
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace", env=environment,
        )  # fmt: skip
    except OSError as error:
        raise UserError(f"{complaint}: {words[0]}: {error.strerror}; install it") from error
    said = []
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            tell(f"  {said[-1]}")
            del said[:-_TAIL]
    if process.returncode:
        told = " ".join(line.strip() for line in said if line.strip())
        raise UserError(f"{complaint} (exit code {process.returncode}): {told[-1500:] or 'no message'}")
