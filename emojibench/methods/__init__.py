"""What a method is: something that animates a clip.

Third parties register a factory under the entry-point group `emojibench.methods`; see docs/add_a_method.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from emojibench.dataset.clip import Clip
from emojibench.errors import UserError
from emojibench.types import Frames

Options = Mapping[str, str]
"""`--set key=value` pairs, still text; a method parses and checks its own."""

Progress = Callable[[int, int], None]
"""Called as progress(done, total) while a clip is being animated."""


@dataclass(frozen=True)
class Animation:
    """What a method returns for one clip."""

    frames: Frames
    """(T, H, W, 3) uint8 RGB; T is `clip.frames`, H and W are those of the clip's portrait."""
    fps: float
    seconds: Mapping[str, float] = field(default_factory=dict)
    """Wall-clock seconds per stage as the method names them (`denoise`, `decode`, ...)."""
    note: str = ""
    """What a reader of the clip's values must know, such as that an encoder has changed the frames."""
    peak_memory: int | None = None
    """Most resident bytes, where the work was done by other processes that the method has watched."""
    shared: int = 1
    """How many clips were made together, so that `seconds` are what each of them takes on average."""


@runtime_checkable
class Method(Protocol):
    """A method under test. Built once a process from `Options`, then called once a clip.

    It may have more attributes:

    - `size: int`: the side in pixels of the square pictures that it works at. It then gets clips of that size and its
      frames are brought to the protocol's, as finished videos of another size are. Without it, it takes any size.
    - `cost_by_shape: bool`: whether the operations of a clip follow from its shape alone. They are then counted on
      the first clip of each shape in a process. Without it every clip is counted, which also slows it a little.
    - `outside: bool`: whether other processes do the work, started anew each time. Nothing is then counted here, and
      no clip is a warm-up.
    - `batch: int`, with `animate_batch(clips, *, seeds, progress)`: the most clips that it takes at once. It returns
      an animation, or a `UserError` with the reason why there is none, for each; what it raises fails all of them.
    - `about: Mapping[str, str]`: what readers of its numbers must know, kept with the run; tables print the `label`
      among it behind the name.
    - `weight_files: Mapping[str, str]`: weight files that it has read, each with its sha256 (12 hex digits or more),
      kept with the run; those found through `emojibench.weights` are kept anyway.
    """

    name: str
    revision: str
    """Changes whenever the output could change: code version, weights digest, options."""

    def animate(self, clip: Clip, *, seed: int, progress: Progress) -> Animation:
        """Animate `clip.portrait` by `clip.driving`; same clip and seed, same frames."""
        ...


MethodFactory = Callable[[Options], Method]
"""What an entry point names. Raises `UserError` for an option it does not know.

It may say what one process takes of a cluster's machine: `gpus: float`, a share of a GPU or a number of them (a whole
one by default, where there are any), and `memory: int`, bytes (not counted by default).
"""


def working_size(method: Method) -> int | None:
    """`method.size`, or None where it takes any size.

    Raises:
        UserError: not a number of pixels.
    """
    size = getattr(method, "size", None)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 16 <= size <= 8192):
        raise UserError(
            f"method {method.name!r}: expected `size` to be a side in pixels from 16 to 8192, or None, got {size!r}"
        )
    return size


def cost_by_shape(method: Method) -> bool:
    """Whether the method says that a clip's operations follow from its shape alone."""
    return getattr(method, "cost_by_shape", False) is True


def outside(method: Method) -> bool:
    """Whether the method says that other processes do its work."""
    return getattr(method, "outside", False) is True


def batch(method: Method) -> int:
    """The most clips that the method takes at once.

    Raises:
        UserError: not a number of clips, or more than one without `animate_batch`.
    """
    most = getattr(method, "batch", 1)
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise UserError(f"method {method.name!r}: expected `batch` to be a number of clips, got {most!r}")
    if most > 1 and not callable(getattr(method, "animate_batch", None)):
        raise UserError(f"method {method.name!r}: expected `animate_batch`, since its `batch` is {most}")
    return most
