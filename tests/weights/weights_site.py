"""What the tests' file server holds and how it behaves."""

from dataclasses import dataclass, field

CONTENT = bytes(range(256)) * 4096
"""1 MiB."""


@dataclass
class Site:
    """What the server holds and how it behaves."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    breaks_after: list[int] = field(default_factory=list)
    """Bytes after which the next connections break off, one entry each."""
    ranges: bool = True
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    """(path, Range header)."""
