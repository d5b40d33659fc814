"""What README and docs tell users to type exists: commands, flags, files and names to import."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from emojibench.cli import app

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "leaderboards").rglob("*.md")),
    *sorted((ROOT / "reference_model").rglob("*.md")),
]
OTHERS = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]


def blocks(page: Path, language: str) -> Iterator[str]:
    """Fenced blocks of a language; "" are those without one."""
    for found in re.finditer(r"^```([a-z]*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        if found[1] == language:
            yield found[2]


def commands() -> list[tuple[str, list[str]]]:
    """Page and words of each line to type, in blocks or between backticks."""
    found = []
    for page in PAGES:
        fenced = "".join(
            block for language in ("", "sh", "bash", "console") for block in blocks(page, language)
        )
        prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
        spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
        for line in [*fenced.replace("\\\n", " ").splitlines(), *spans]:
            for text in line.strip().removeprefix("$ ").split(" && "):
                if re.match(r"(emojibench|python \S+\.py) ", text):
                    found.append((page.name, shlex.split(text, comments=True)))
    return found


def unknown(words: list[str]) -> set[str]:
    """Scripts, commands and flags of a line that do not exist."""
    flags = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
    if words[0] == "python":
        script = ROOT / words[1]
        return {f for f in flags if f'"{f}"' not in script.read_text()} if script.is_file() else {words[1]}
    command, rest = typer.main.get_command(app), words[1:]
    while rest and (inner := getattr(command, "commands", {}).get(rest[0])):
        command, rest = inner, rest[1:]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    strange = {rest[0]} if rest and getattr(command, "commands", None) and rest[0] not in flags else set()
    return strange | (flags - known - {"--help"})


def anchors(page: Path) -> set[str]:
    """What links may name after `#`, made from the headings as GitHub does."""
    prose = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, target: str) -> bool:
    name, _, anchor = target.partition("#")
    found = page if not name else page.parent / name
    return not found.exists() or bool(anchor and found.suffix == ".md" and anchor not in anchors(found))


@pytest.mark.parametrize("page", [*PAGES, *OTHERS], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    assert not [target for target in targets if not target.startswith("http") and broken(page, target)]


def test_pictures_are_small() -> None:
    """Every clone carries them for ever."""
    assert all(file.stat().st_size < 300_000 for file in (ROOT / "docs/images").iterdir())


def test_commands_and_flags_exist() -> None:
    known = commands()
    assert len(known) > 50
    assert not {(page, *strange) for page, words in known if (strange := unknown(words))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_to_import_exist(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                for alias in node.names:
                    if not hasattr(module, alias.name):
                        importlib.import_module(f"{node.module}.{alias.name}")
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)
