"""Settings of `train`, `ablate` and `accel`: defaults, a YAML file over them, flags on top.

`--dry-run` prints them as such a file, so that `emojibench train --dry-run > train.yaml` and
`emojibench train --config train.yaml` belong together. Paths count from the working directory, in files too.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FilePath,
    FiniteFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
)

from emojibench.errors import UserError
from emojibench.files.reading import read_yaml
from emojibench.fye.matrix import Measuring
from emojibench.parallel.choosing import named
from emojibench.registry import unknown

Minutes = Annotated[FiniteFloat, Field(ge=0.01)]
Identities = Annotated[int, Field(ge=2)]
Share = Annotated[FiniteFloat, Field(ge=0)]


def _text(value: object) -> object:
    """Options are text; YAML makes numbers and truth values of what looks like them."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


class Settings(BaseModel):
    """What all three commands have."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    def yaml(self) -> str:
        """A file that gives these settings, with a comment above each key."""
        values = self.model_dump(mode="json")
        lines = []
        for name, field in type(self).model_fields.items():
            # JSON is YAML too, and says of each value whether it is text.
            value = json.dumps(values[name], ensure_ascii=False)
            lines.append(f"# {' '.join((field.description or '').split())}\n{field.alias or name}: {value}\n")
        return "".join(lines)


class TrainingSettings(Settings):
    """What a training has, whatever is trained."""

    preset: str = "mini"
    """Which preset of the reference model."""
    minutes: Minutes = 60.0
    """Wall-clock budget of the training itself."""
    identities: Identities = 900
    """Procedural identities to train on."""
    bf16: bool = False
    """Mixed precision; faster on GPUs and on CPUs with AVX512-BF16."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where to train: cpu or cuda."""
    threads: NonNegativeInt = 0
    """CPU threads; 0 leaves the choice to PyTorch."""
    seed: NonNegativeInt = 0
    """Same seed, same weights, batches and noise."""


class TrainSettings(TrainingSettings):
    """Of `emojibench train`."""

    files: dict[str, Path] = Field({}, alias="from")
    """Checkpoints that paper starts from, by name: sd15-unet, sd15-vae, clip, motion."""
    start: FilePath | None = None
    """Weights to start from; a phase whose share is 0 keeps what they say."""
    shares: tuple[Share, ...] | None = None
    """Of the budget, what each phase gets: autoencoder, frames, clips, rollouts; paper: frames, clips."""
    steps: tuple[NonNegativeInt, ...] | None = None
    """Steps of the phases instead of a budget, in the same order."""
    learning_rate: Annotated[FiniteFloat, Field(ge=1e-7, le=0.1)] | None = None
    """Peak of the learning rate."""
    perceptual: Annotated[FiniteFloat, Field(ge=0, le=100)] = 0.0
    """Weight of LPIPS (SqueezeNet, from the weights registry) in the losses of autoencoder and rollouts."""
    dataset: str = ""
    """Folder made by `emojibench data build`; procedural identities where it is empty."""
    validation: PositiveInt = 6
    """Further identities to look at while training."""
    out: Path | None = None
    """Folder for data, checkpoints, log and pictures; training/PRESET where it is null."""


class _Measured(Settings):
    """How rows are measured; names as in `emojibench.run`."""

    rows: tuple[str, ...] | None = None
    """Rows to run, with those they refer to; null for all."""
    matrix: Path | None = None
    """YAML file of rows; null for those of the paper, in the package."""
    table: Path | None = None
    """The page that is written; null for a file in `out`. Figures go beside it."""
    split: str = "self"
    """What to measure on: self or cross."""
    dataset: str = "synth"
    """mini, synth, or a dataset folder."""
    clips: int | tuple[str, ...] = 12
    """The first so many clips, or a list of clip ids."""
    frames: int | None = None
    """Cut clips to so many frames; null for the dataset's number."""
    metrics: tuple[str, ...] | None = None
    """Metrics or columns; null for all."""
    options: dict[str, Annotated[str, BeforeValidator(_text)]] = Field({}, alias="set")
    """Options of all rows' methods."""
    jobs: int | None = None
    """Worker processes; null for 1, or with ray for all that there is room for. Seconds are only comparable with 1."""
    executor: str = "local"
    """Where workers run: local, this machine, or ray, a Ray cluster."""
    address: str | None = None
    """Of a Ray cluster: auto, or HOST:PORT; null for RAY_ADDRESS, else a cluster of this machine alone."""
    gpus_per_worker: float | None = None
    """GPUs of one Ray worker, or a share of one; null for what the method says."""
    timeout: PositiveFloat = 1800.0
    """Seconds after which one clip counts as hung."""
    seed: NonNegativeInt = 0
    """Same seed, same animations."""

    @property
    def measuring(self) -> Measuring:
        """The same for those who measure."""
        executor = named(self.executor, self.jobs, self.address, self.gpus_per_worker)
        return Measuring(
            self.split, self.dataset, self.clips, self.frames, self.metrics, executor, self.timeout, self.seed,
            self.options,
        )  # fmt: skip


class AccelSettings(_Measured):
    """Of `emojibench accel`."""

    out: Path = Path("acceleration")
    """Folder for runs and traces."""
    traced: NonNegativeInt = 4
    """So many of the clips are denoised once more, watched step by step."""
    floor_clips: PositiveInt | None = None
    """Run the noise floors, which are slow, on so many of the clips; null for all."""


class AblateSettings(_Measured, TrainingSettings):
    """Of `emojibench ablate`."""

    out: Path = Path("ablation")
    """Folder for training data, checkpoints, weights and runs."""
    minutes: Minutes = 30.0
    """Training budget of each row, wall clock."""
    steps: tuple[PositiveInt, PositiveInt, PositiveInt] | None = None
    """Steps of single frames, clips and rollouts instead of a budget."""
    main: Path | None = None
    """Main weights: all rows have their encoder, some all of it; null for those of the package."""
    start: Literal["random", "main"] = "random"
    """What trained rows start from: random weights, or the main ones with a new landmark encoder."""
    data: Path | None = None
    """Training data, made if it is not there; null for the folder data in `out`."""
    split: str = "cross"
    """What to measure on: self or cross."""
    clips: int | tuple[str, ...] = 20
    """The first so many clips, or a list of clip ids."""
    seed: NonNegativeInt = 0
    """Same seed, same trainings and animations."""


S = TypeVar("S", bound=Settings)


def settle(kind: type[S], file: Path | None, flags: Mapping[str, object]) -> S:
    """Settings from a file and from flags, which come on top.

    Args:
        kind: which settings.
        file: YAML; None: there is none.
        flags: by key; None where a flag was not given.

    Raises:
        UserError: no such file, not YAML, an unknown key (the nearest one is suggested), a value of another kind or
            out of range; names the file and the key, or the flag.
    """
    told = {} if file is None else read_yaml(file)
    keys = [field.alias or name for name, field in kind.model_fields.items()]
    for key in told:
        if key not in keys:
            raise UserError(f"{file}: {unknown('key', str(key), keys)}")
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        return kind.model_validate({**told, **given})
    except ValidationError as error:
        problem = error.errors()[0]
        key, *inside = (str(part) for part in problem["loc"])
        where = f"--{key.replace('_', '-')}" if key in given else f"{file}: {'.'.join((key, *inside))}"
        message = problem["msg"].removeprefix("Value error, ")
        for theirs, ours in (("Input should be ", "expected "), ("Tuple", "List"), ("tuple", "list")):
            message = message.replace(theirs, ours)
        remedy = "correct the flag" if key in given else "correct the file"
        raise UserError(f"{where}: {message}, got {_short(problem['input'])}; {remedy}") from error


def _short(value: Any) -> str:
    text = repr(
        list(value) if isinstance(value, Iterable) and not isinstance(value, str | Mapping) else value
    )
    return text if len(text) <= 80 else f"{text[:80]}…"
