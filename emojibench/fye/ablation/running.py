"""Training and measuring the rows of an ablation; what is finished is kept, so that a killed one continues.

A folder holds it all: `rows/<row>` (settings, log, checkpoints, weights) and `runs/<row>` (an ordinary run folder).
"""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from emojibench.errors import UserError
from emojibench.files.reading import parse_json, read_json, read_text
from emojibench.files.writing import check_own, continued, write_text
from emojibench.fye.ablation.matrix import MAIN, AblationVariant
from emojibench.fye.matrix import Measuring
from emojibench.fye.settings import AblateSettings
from emojibench.progress import Stages

if TYPE_CHECKING:
    from fye_faster.presets import Preset
    from fye_faster.train.data import TrainingSet
    from fye_faster.train.recipe import Recipe

    from emojibench.runs.result import RunResult
    from emojibench.runs.spec import RunSpec

_STARTS = {
    "random": "random weights, with the encoder and decoder of the main ones",
    "main": "the main weights, with a new landmark encoder",
}
"""What `--start` means, in words of the page."""
STARTS = tuple(_STARTS)
_ANEW = "train the row anew with --fresh"
_LONGEST_LOG = 256 << 20


def plan(settings: AblateSettings) -> "tuple[Preset, Recipe]":
    """What is trained and how; this process uses as many threads as the settings say.

    Raises:
        UserError: an unknown preset.
    """
    import torch
    from fye_faster import presets
    from fye_faster.train.mini import RECIPE

    try:
        preset = presets.get(settings.preset)
    except ValueError as error:
        raise UserError(f"--preset: {error}") from error
    # The usual warm-up would be most of a small budget.
    recipe = replace(
        RECIPE,
        minutes=settings.minutes,
        steps=None if settings.steps is None else (0, *settings.steps),
        seed=settings.seed,
        warm_up=20,
        bf16=settings.bf16,
        device=settings.device,
    )
    encoder, phase1, phase2, rollouts = recipe.shares
    rest = 1 - encoder
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return preset, replace(recipe, shares=(0, phase1 / rest, phase2 / rest, rollouts / rest))


class Training:
    """Trains rows on the same data with the same budget, from the same weights, with one frozen encoder.

    The decoder, which is shown the condition maps too, starts from the main weights' and learns each row's maps and
    latents in the last share of the budget.
    """

    def __init__(
        self,
        out: Path,
        preset: "Preset",
        recipe: "Recipe",
        main: Path | None,
        start: str,
        identities: int,
        data: "Callable[[], TrainingSet]",
    ) -> None:
        """Take what all rows share.

        Args:
            out: folder of the ablation.
            preset: what is trained.
            recipe: how.
            main: the main weights; None: those of the package.
            start: `random`: networks start from random weights; `main`: from the main ones, but for the landmark
                encoder, so that no row knows its drawing of landmarks already.
            identities: how many sequences were asked of `data`.
            data: makes or opens the training data; called when a row is to be trained.

        Raises:
            UserError: the main weights are missing or not the preset's.
            WriteError: `out` holds links, pipes or devices, through which writing would lead elsewhere.
        """
        import torch
        from fye_faster.models import checkpoint
        from fye_faster.models.checkpoint import Model

        check_own(out)
        self.out, self.preset, self.recipe, self.main = out, preset, recipe, main
        self._identities, self._data = identities, data
        # Rows differ in what their networks are shown, so they can all start from the same weights.
        torch.manual_seed(recipe.seed)
        model = Model(preset)
        untaught = deepcopy(model.animator.landmarks.state_dict())
        source = main or checkpoint.packaged(preset)
        try:
            if start == "main":
                checkpoint.load(model, source)
                model.animator.landmarks.load_state_dict(untaught)
            else:
                checkpoint.load_autoencoder(model, source)
        except ValueError as error:
            raise UserError(f"--main: {error}") from error
        self._start = model.state_dict()
        self._source = {"start": start, "main": checkpoint.digest(source)}

    def folder(self, name: str) -> Path:
        """Where the row of this name is trained."""
        return self.out / "rows" / name

    def run(self, name: str) -> Path:
        """The run folder of the row of this name."""
        return self.out / "runs" / name

    def weights(self, name: str) -> Path:
        """Where the trained weights of the row of this name lie, or will lie."""
        return self.folder(name) / f"{self.preset.name}.safetensors"

    def train(self, row: AblationVariant) -> None:
        """Train a row; continue where an earlier call stopped. The first row encodes the data for all.

        Raises:
            UserError: the folder holds a row trained otherwise, or the device is not there.
            WriteError: there is no space left.
        """
        with continued(self.out):
            self._train(row)

    def _train(self, row: AblationVariant) -> None:
        from fye_faster.models import checkpoint
        from fye_faster.models.checkpoint import Model
        from fye_faster.train.mini import MiniTrainer
        from fye_faster.train.training_log import jsonl

        folder = self.folder(row.name)
        preset = replace(
            self.preset,
            landmark_groups=row.landmarks or self.preset.landmark_groups,
            warp=row.warp and self.preset.warp,
        )
        recipe = replace(self.recipe, ffg_masks=row.ffg)
        self._bind(folder, preset, recipe)
        if self.weights(row.name).is_file():
            return
        model = Model(preset)
        model.load_state_dict(self._start)
        try:
            log, begun = jsonl(folder / "log.jsonl"), self._source["main"]
            latents = self.out / "latents"
            trainer = MiniTrainer(model, self._data(), recipe, folder, log, start=begun, latents=latents)
            trainer.resume()
        except ValueError as error:
            raise UserError(f"{folder}: {error}") from error
        with Stages() as stages:
            weights = trainer.run(progress=stages)
        checkpoint.save(self.weights(row.name), weights, preset)

    def _bind(self, folder: Path, preset: "Preset", recipe: "Recipe") -> None:
        """Make this the folder of a training with these settings, or see that it is."""
        own = {
            "landmarks": list(preset.landmark_groups), "ffg": list(recipe.ffg_masks), "warp": preset.warp,
        }  # fmt: skip
        settings = self._shared() | own
        file = folder / "settings.json"
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(settings, indent=2) + "\n")
            return
        there = {"warp": True} | _settings(folder)  # earlier versions had no other rows
        for key, value in settings.items():
            if there.get(key) != value:
                raise UserError(
                    f"{folder}: holds a row trained with {key} {there.get(key)}, asked for {value}; "
                    f"choose another --out, or train it anew with --fresh --rows {folder.name}"
                )

    def _shared(self) -> dict[str, object]:
        """Settings that rows must share to be compared."""
        recipe = self.recipe
        return {
            "preset": self.preset.name,
            "minutes": None if recipe.steps else recipe.minutes,
            "steps": list(recipe.steps) if recipe.steps else None,
            "seed": recipe.seed,
            "bf16": recipe.bf16,
            "device": recipe.device,
            "identities": self._identities,
            **self._source,
        }

    def otherwise(self, name: str) -> str:
        """How the row of this name was trained otherwise than rows are now; empty if it was not, or not at all."""
        there = _settings(self.folder(name))
        differing = [
            f"{key} {there[key]}, not {value}"
            for key, value in self._shared().items()
            if key in there and there[key] != value
        ]
        return ", ".join(differing)


def options(row: AblationVariant, training: Training, how: Measuring) -> dict[str, str]:
    """The method's options for a row, once it is trained."""
    weights = training.main if row.weights == MAIN else training.weights(row.weights or row.name)
    # What is ablated is the method, not how faithfully a cache predicts each variant of it; other methods are caches.
    given = {"cache": "none", **how.options}
    if row.method != "fye-faster":
        del given["cache"]
    chosen = {"preset": training.preset.name, **given, **row.options}
    return chosen if weights is None else chosen | {"weights": str(weights)}


def revision(row: AblationVariant, training: Training, how: Measuring) -> str:
    """The revision of the method that `measure` would run now: it names weights and options; empty without weights."""
    from emojibench import registry

    try:
        opened = registry.load(registry.METHODS, row.method)(options(row, training, how))
    except UserError:
        return ""
    return str(opened.revision)


def is_todays(spec: "RunSpec", row: AblationVariant, training: Training, how: Measuring) -> bool:
    """Whether a row's run is what `measure` would run now; a row's own weights may be gone, and are trusted then."""
    now = options(row, training, how)
    if row.weights != MAIN and not Path(now["weights"]).is_file():
        own = {**spec.options, "weights": now["weights"]}
        return (spec.method, own, spec.seed) == (row.method, now, how.seed)
    return spec.revision == revision(row, training, how)


def check(rows: Sequence[AblationVariant], training: Training, how: Measuring) -> None:
    """Find out before hours of training whether the rows could be measured.

    Raises:
        UserError: as `Measuring.check`.
    """
    untrained = [row.model_copy(update={"weights": MAIN}) for row in rows]
    how.check((row.method, options(row, training, how)) for row in untrained)


def measure(row: AblationVariant, training: Training, how: Measuring, *, overwrite: bool) -> "RunResult":
    """Run a row's weights over the clips and score them; continues as `emojibench.run`.

    Raises:
        UserError: as `emojibench.run`.
    """
    return how.run(
        row.name, row.method, options(row, training, how), training.out / "runs", overwrite=overwrite
    )


def start(folder: Path) -> str | None:
    """What a row's training started from, in words; None before it was trained."""
    return _STARTS.get(str(_settings(folder).get("start")))


def effort(folder: Path) -> dict[str, tuple[int, float]]:
    """Steps and minutes of each phase that a row's log calls finished; empty where there is no log."""
    log = folder / "log.jsonl"
    lines = read_text(log, limit=_LONGEST_LOG, advice=_ANEW).splitlines() if log.exists() else []
    records = [
        parse_json(line, f"{log}, line {number}", advice=_ANEW)
        for number, line in enumerate(lines, start=1)
        if '"finished"' in line
    ]
    try:
        return {str(r["phase"]): (int(r["step"]), float(r["minutes"])) for r in records}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{log}: a finished phase without its step and minutes ({error!r}); {_ANEW}"
        ) from error


def _settings(folder: Path) -> dict[str, object]:
    """What a row was trained with; empty before it was."""
    file = folder / "settings.json"
    settings: dict[str, object] = read_json(file, advice=_ANEW) if file.exists() else {}
    return settings
