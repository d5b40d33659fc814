"""One damaged file given to one reader, and what came of it."""

import contextlib
import io
import random
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mutations import Edit, draw
from reader import Mutate, Parser


@dataclass(frozen=True)
class Damage:
    """How one input is made; the same numbers make the same bytes."""

    seed: int
    """Which of the parser's good files."""
    mutation: int
    """Which of the parser's ways to damage one."""
    edits: list[Edit]


def drawn(source: random.Random) -> Damage:
    """Damage from a seeded generator."""
    return Damage(source.getrandbits(16), source.getrandbits(16), draw(source))


def damaged(parser: Parser, damage: Damage) -> tuple[Path, bytes]:
    """The good file that was chosen, and what the damage makes of it."""
    seed = parser.seeds[damage.seed % len(parser.seeds)]
    other = parser.seeds[(damage.seed + 1) % len(parser.seeds)]
    mutate: Mutate = parser.mutations[damage.mutation % len(parser.mutations)]
    return seed, mutate(seed.read_bytes(), damage.edits, other.read_bytes())


def attempt(parser: Parser, damage: Damage, folder: Path) -> str:
    """`read`, `refused`, or what went wrong: another exception, a message that names no file, memory that ran out.

    The damaged file stays in `folder`.
    """
    seed, content = damaged(parser, damage)
    path = parser.place(seed, folder)
    path.write_bytes(content)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("error", RuntimeWarning)
        try:
            parser.read(path)
        except parser.refusal as error:
            if any(isinstance(cause, MemoryError) for cause in _chain(error)):
                return f"memory: {error}"
            if path.name not in str(error) and str(path.parent) not in str(error):
                return f"unnamed: {error}"
            return "refused"
        except BaseException:
            return f"unexpected: {traceback.format_exc()}"
    return "read"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
