"""Registers the fakes for real: entry points of a distribution that lies in a temporary folder."""

from pathlib import Path
from typing import Any

import pytest

METRICS = ("fake_l1", "fake_face", "fake_set")


def register(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a folder that registers the fakes on the path."""
    site = write_site(folder / "site")
    monkeypatch.syspath_prepend(str(site))
    return site


def write_site(site: Path) -> Path:
    """Make a folder that registers the fakes for whoever has it on the path."""
    info = site / "fakes-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fakes\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[emojibench.methods]\nfake = fakes:FakeMethod\nfake-torch = fakes:TorchMethod\n"
        "fake-small = fakes:SmallMethod\nfake-adaptive = fakes:AdaptiveMethod\n"
        "[emojibench.metrics]\nfake_l1 = fakes:FakeL1\nfake_face = fakes:FakeFace\nfake_set = fakes:FakeSet\n"
        "fake_missing = fakes:FakeMissing\nfake_broken = fakes:FakeBroken\nfake_raising = fakes:FakeRaising\n"
        "fake_survivors = fakes:FakeSurvivors\nfake_pair = fakes:FakePair\n"
    )
    return site


def opened(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`run` and its kin on the fake benchmark, writing below `folder`; metrics and methods are registered."""
    import fakes

    from emojibench.runs import api

    monkeypatch.setattr(api, "load_dataset", fakes.load_dataset)
    monkeypatch.setattr(api, "open_detector", fakes.open_detector)

    class Bench:
        out = folder / "runs"

        def run(self, method: str = "fake", metrics: Any = METRICS, name: str = "r", **more: Any) -> Any:
            return api.run(method, metrics=metrics, out=self.out, quiet=True, name=name, **more)

        def score(self, predictions: Path, metrics: Any = METRICS, name: str = "r", **more: Any) -> Any:
            return api.score(predictions, metrics=metrics, out=self.out, quiet=True, name=name, **more)

        def rescore(self, name: str = "r", **more: Any) -> Any:
            return api.rescore(self.out / name, quiet=True, **more)

    return Bench()


@pytest.fixture
def registered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return register(tmp_path, monkeypatch)


@pytest.fixture
def bench(registered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return opened(tmp_path, monkeypatch)
