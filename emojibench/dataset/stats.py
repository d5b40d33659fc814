"""What a dataset holds, in figures that can be compared with those of another: the paper's Table 2 and Fig. 6."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emojibench.dataset import diversity
from emojibench.dataset.dataset import Dataset
from emojibench.dataset.facts import ABOUT, SCORES, TURNED, Fact
from emojibench.dataset.landmarks import read_driving
from emojibench.dataset.motion import motion_of
from emojibench.dataset.preparing import Files, spread
from emojibench.face.driving import DrivingSequence
from emojibench.face.measures import CLOSED_EYES, Measures, measure
from emojibench.face.points import OUTER_EYE_CORNERS
from emojibench.parallel.executor import Executor
from emojibench.parallel.local import LOCAL


@dataclass(frozen=True)
class DatasetStats:
    """The figures of one dataset."""

    name: str
    version: str
    digest: str
    detector: str
    domains: tuple[str, ...]
    facts: dict[str, Fact]
    """Key of `ABOUT` to its figure; all are there."""

    @property
    def title(self) -> str:
        """Name, version and the beginning of the digest."""
        return f"{self.name} {self.version} ({self.digest[:6]})"


def stats(
    dataset: Dataset,
    *,
    clips: int | None = None,
    siglip: Path | None = None,
    executor: Executor = LOCAL,
    quiet: bool = False,
) -> DatasetStats:
    """Measure a dataset. Driving files that are not there yet are made; with `siglip`, pictures and videos as well.

    Args:
        dataset: any.
        clips: only the first so many clips of each split.
        siglip: folder of a SigLIP model; without it the scores of Fig. 6 are missing.
        executor: where files are made and sequences are measured; the model runs in this process.
        quiet: no progress on stderr.

    Raises:
        UserError: too many clips are asked for, or the folder holds no SigLIP model.
        DatasetError: a file of the dataset is damaged.
    """
    chosen = {
        clip for split in dataset.splits for clip in dataset.chosen(split, _at_most(dataset, split, clips))
    }
    entries = [entry for entry in dataset.entries if entry.clip_id in chosen]
    paths = list(dict.fromkeys(entry.driving for entry in entries))
    if siglip is not None:
        dataset.prepare([entry.clip_id for entry in entries], executor=executor, quiet=quiet)
    seen = spread(
        partial(_look_at, dataset.files), paths, executor=executor, title=f"Driving of {dataset.name}", quiet=quiet,
        roots=dataset.files.roots, reads=dataset.files.sources,
    )  # fmt: skip
    domains = tuple(sorted({entry.domain for entry in entries}))
    facts = {
        "clips": Fact(len(entries), len(entries)),
        "domains": Fact(len(domains), len(entries)),
        "subjects": Fact(len({entry.subject for entry in entries}), len(entries)),
        "resolution": Fact(dataset.manifest.size, len(entries)),
    }
    facts |= _driving_facts(seen)
    if siglip is None:
        facts |= dict.fromkeys(SCORES, Fact(None, 0, "no SigLIP model was given: --siglip FOLDER"))
    else:
        from emojibench.dataset.siglip import scores

        facts |= scores(dataset, entries, siglip, quiet=quiet)
    assert facts.keys() == ABOUT.keys()
    about = (dataset.name, dataset.version, dataset.digest, dataset.detector)
    return DatasetStats(*about, domains, {name: facts[name] for name in ABOUT})


def lacking(dataset: Dataset) -> str:
    """Why figures would take long: driving files that are not made yet; empty where all are there."""
    paths = {entry.driving for entry in dataset.entries}
    absent = sum(not dataset.files.ready(path) for path in paths)
    return f"{absent} of {len(paths)} driving sequences are not made yet" if absent else ""


@dataclass(frozen=True)
class _Seen:
    """What figures take of one sequence."""

    seconds: float
    face: Measures | None
    """Of frames with a face; None where none has one."""
    blendshapes: NDArray[np.float32] | None
    """(frames with a face, 51), without `_neutral`."""
    motion: float | None
    energy: float | None


def driving_facts(sequences: Sequence[DrivingSequence]) -> dict[str, Fact]:
    """The figures that are of driving sequences alone. Their order changes none, copies of all only `total`."""
    return _driving_facts([_look(sequence) for sequence in sequences])


def _look_at(files: Files, path: str) -> _Seen:
    return _look(read_driving(files.path(path)))


def _look(sequence: DrivingSequence) -> _Seen:
    found, shapes = sequence.detected, sequence.blendshapes
    return _Seen(
        len(sequence) / sequence.fps,
        measure(sequence.landmarks[found], sequence.size) if found.any() else None,
        shapes[found][:, 1:] if shapes is not None else None,
        motion_of(sequence),
        energy_of(sequence),
    )


def _driving_facts(sequences: Sequence[_Seen]) -> dict[str, Fact]:
    lengths = [sequence.seconds for sequence in sequences]
    found = {
        "duration": Fact(float(np.median(lengths)), len(lengths)),
        "total": Fact(sum(sorted(lengths)) / 60, len(lengths)),
    }
    faces = [sequence.face for sequence in sequences if sequence.face is not None]
    return found | _expressions(faces) | _poses(faces) | _motion(sequences) | _blendshapes(sequences)


def _expressions(faces: Sequence[Measures]) -> dict[str, Fact]:
    if not faces:
        return dict.fromkeys(("expression_coverage", "expression_entropy"), _faceless())
    shares = diversity.shares([diversity.states(face) for face in faces], diversity.STATES)
    n = len(faces)
    return {
        "expression_coverage": Fact(diversity.coverage(shares), n),
        "expression_entropy": Fact(diversity.entropy(shares), n),
    }


def _poses(faces: Sequence[Measures]) -> dict[str, Fact]:
    if not faces:
        return dict.fromkeys(("yaw", "pitch", "roll", "turned", "gaze"), _faceless())
    n = len(faces)
    angles = ("yaw", "pitch", "roll")
    found = {name: Fact(diversity.spread([getattr(face, name) for face in faces]), n) for name in angles}
    shares = [float((np.abs(face.yaw) > TURNED).mean()) for face in faces]
    found["turned"] = Fact(float(np.mean(sorted(shares))), n)
    looks = [face.gaze_x[face.eye_opening > CLOSED_EYES] for face in faces]
    looks = [of for of in looks if len(of)]
    found["gaze"] = (
        Fact(diversity.spread(looks), len(looks)) if looks else Fact(None, 0, "no frame with open eyes")
    )
    return found


def _motion(sequences: Sequence[_Seen]) -> dict[str, Fact]:
    motions = [sequence.motion for sequence in sequences if sequence.motion is not None]
    energies = [sequence.energy for sequence in sequences if sequence.energy is not None]
    lacks = Fact(None, 0, "no sequence has two frames with a face, one after the other")
    return {
        "motion": Fact(float(np.median(motions)), len(motions)) if motions else lacks,
        "energy": Fact(float(np.mean(sorted(energies))), len(energies)) if energies else lacks,
    }


def energy_of(driving: DrivingSequence) -> float | None:
    """Mean square of the speed of the 478 points in the picture, (eye distances / s)²: head and face together.

    Over neighbouring frames with a face in both; None where there are none. The eye distance is the median over the
    frames. Twice the motion in the same time is four times the energy.
    """
    points = driving.landmarks[..., :2].astype(np.float64) * driving.size
    both = driving.detected[1:] & driving.detected[:-1]
    if not both.any():
        return None
    steps: NDArray[np.float64] = np.diff(points, axis=0)[both] * driving.fps
    right, left = OUTER_EYE_CORNERS
    eyes = np.linalg.norm(points[driving.detected, right] - points[driving.detected, left], axis=1)
    return float((steps**2).sum(axis=2).mean()) / max(float(np.median(eyes)), 1e-6) ** 2


def _blendshapes(sequences: Sequence[_Seen]) -> dict[str, Fact]:
    names = ("blendshape_coverage", "blendshape_entropy")
    all_shapes = [sequence.blendshapes for sequence in sequences if sequence.face is not None]
    known = [shapes for shapes in all_shapes if shapes is not None]
    if len(known) < len(all_shapes) or not known:
        absent = f"{len(all_shapes) - len(known)} of {len(all_shapes)} sequences come without blendshapes"
        reason = f"{absent}, which only the `task` detector gives: --detector task"
        return dict.fromkeys(names, Fact(None, 0, reason))
    shown, mean = diversity.active(known)
    return {
        names[0]: Fact(diversity.coverage(shown), len(known)),
        names[1]: Fact(diversity.entropy(mean), len(known)),
    }


def _faceless() -> Fact:
    return Fact(None, 0, "no sequence has a frame with a face")


def _at_most(dataset: Dataset, split: str, clips: int | None) -> int | None:
    return clips if clips is None or clips < 1 else min(clips, len(dataset.clip_ids(split)))
