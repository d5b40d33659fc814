"""What `emojibench baselines` does, as the entry point `emojibench.baselines` names it."""

from collections.abc import Callable, Sequence
from pathlib import Path

from emojibench.methods.description import Strict
from emojibench_baselines.external import doctor, records, setting_up
from emojibench_baselines.external.description import load, names
from emojibench_baselines.external.doctor import Check
from emojibench_baselines.external.setting_up import Part


class Overview(Strict):
    """One line of `baselines list`."""

    name: str
    title: str
    tables: tuple[int, ...]
    """Of the paper; empty for methods that it does not measure."""
    ready: bool
    lacking: tuple[str, ...]
    """What keeps it from running here."""
    licence: str
    commercial: bool | None
    motion: str
    device: tuple[str, ...]
    sound: bool
    """Whether it is driven by sound, which a dataset has or `--set sound=` gives."""
    repository: str
    commit: str
    random_weights: bool


class External:
    """Other people's methods: their state on this machine, and how to change it."""

    def rows(self) -> list[Overview]:
        """All of them: first those of the paper's tables, in order."""
        rows = [self._row(name) for name in names()]
        return sorted(rows, key=lambda row: (min(row.tables, default=9), row.name))

    def _row(self, name: str) -> Overview:
        described, record = load(name), records.read(name)
        lacking = tuple(records.lacking(described, record))
        licence, repository, motion = described.licence, described.repository, described.motion
        return Overview(
            name=name,
            title=described.title,
            tables=tuple(described.tables),
            ready=not lacking,
            lacking=lacking,
            licence=licence.name if licence else "",
            commercial=licence.commercial if licence else None,
            motion=motion.mode if motion else "",
            device=tuple(described.device),
            sound="sound" in described.uses,
            repository=repository.url if repository else "",
            commit=repository.commit if repository else "",
            random_weights=record.random_weights,
        )

    def setup(
        self,
        name: str,
        *,
        repo: Path | None,
        weights: Path | None,
        accept_licence: bool,
        random_weights: bool,
        extra: Sequence[str],
        tell: Callable[[str], None],
    ) -> list[Part]:
        """See `setting_up.setup`."""
        return setting_up.setup(
            name, repo=repo, weights=weights, accept_licence=accept_licence, random_weights=random_weights,
            extra=extra, tell=tell,
        )  # fmt: skip

    def doctor(self, name: str, tell: Callable[[str], None]) -> list[Check]:
        """See `doctor.doctor`."""
        return doctor.doctor(name, tell)
