"""Damaged files end in one error that names the file, whatever the damage; `campaign.py` tries many more."""

from pathlib import Path

import pytest
from attempts import Damage, attempt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutations import KINDS, Edit
from parsers import parsers
from reader import Parser

part = st.floats(0, 1, exclude_max=True)
edits = st.lists(
    st.builds(Edit, st.sampled_from(KINDS), part, part, st.integers(0, 2**32 - 1)), min_size=1, max_size=4
)
damage = st.builds(Damage, st.integers(0, 9), st.integers(0, 9), edits)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parser]:
    return {parser.name: parser for parser in parsers(tmp_path_factory.mktemp("seeds"))}


def try_many(known: dict[str, Parser], folder: Path, examples: int) -> None:
    for parser in known.values():
        for seed in parser.seeds:
            parser.read(seed)
        try_one(parser, folder, examples)


def try_one(parser: Parser, folder: Path, examples: int) -> None:
    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )  # fmt: skip
    @given(damage)
    def holds(one: Damage) -> None:
        outcome = attempt(parser, one, folder)
        assert outcome in ("read", "refused"), f"{parser.name}: {outcome}"

    holds()


def test_damaged_files_are_read_or_refused(known: dict[str, Parser], tmp_path: Path) -> None:
    try_many(known, tmp_path, 20)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_damaged_files_are_read_or_refused(known: dict[str, Parser], tmp_path: Path) -> None:
    try_many(known, tmp_path, 1500)
