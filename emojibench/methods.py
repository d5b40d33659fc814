"""What a method is: something that animates a clip.

Third parties register a factory under the entry-point group `emojibench.methods`; see docs/add_a_method.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from emojibench.dataset.clip import Clip, Frames

Options = Mapping[str, str]
"""`--set key=value` pairs, still text; a method parses and checks its own."""

Progress = Callable[[int, int], None]
"""Called as progress(done, total) while a clip is being animated."""


@dataclass(frozen=True)
class Animation:
    """What a method returns for one clip."""

    frames: Frames
    """(T, H, W, 3) uint8 RGB; T is `clip.frames`, H and W are the portrait's."""
    fps: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock seconds per stage as the method names them (`denoise`, `decode`, ...)."""


@runtime_checkable
class Method(Protocol):
    """A method under test. Built once a process from `Options`, then called once a clip."""

    name: str
    revision: str
    """Changes whenever the output could change: code version, weights digest, options."""

    def animate(self, clip: Clip, *, seed: int, progress: Progress) -> Animation:
        """Animate `clip.portrait` by `clip.driving`; same clip and seed, same frames."""
        ...


MethodFactory = Callable[[Options], Method]
"""What an entry point names. Raises `UserError` for an option it does not know."""
