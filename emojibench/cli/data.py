"""`emojibench data`: look at, build, verify and export datasets."""

import json
from os.path import commonpath
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from emojibench.cli.flags import Address, Clips, Data, Executor, Frames, Jobs, Size, Split, Workers
from emojibench.errors import DatasetError, UserError

if TYPE_CHECKING:
    from emojibench.dataset.building import BuildReport
    from emojibench.dataset.dataset import Dataset
    from emojibench.dataset.export import ExportReport
    from emojibench.dataset.verifying import VerifyReport

app = typer.Typer(no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DETECTOR_HELP = "Landmark detector: auto, bundled, task, or a full id."


@app.command()
def info(
    ref: Annotated[str, typer.Argument(help="mini, synth, or a dataset folder.")] = "mini",
    size: Annotated[
        int | None, typer.Option(help="Side of the frames in pixels.", show_default="the dataset's")
    ] = None,
    detector: Annotated[str, typer.Option(help=DETECTOR_HELP)] = "auto",
    as_json: AsJson = False,
) -> None:
    """Show what a dataset holds: clips per split and domain, detector, digest, licence."""
    from emojibench.dataset import load_dataset

    dataset = load_dataset(ref, size=size, detector=detector)
    figures = _motions(dataset)
    facts = _facts(dataset) | {"motion": _told(figures)}
    if as_json:
        typer.echo(json.dumps(facts | {"motion_by_clip": figures}, indent=2))
        return
    for key, value in facts.items():
        shown = ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        typer.echo(f"{key:>9}  {shown}")


@app.command()
def preview(
    ref: Annotated[str, typer.Argument(help="mini, synth, or a dataset folder.")] = "mini",
    out: Annotated[
        Path | None,
        typer.Option(help="Picture to write, .png or .jpg.", show_default="<dataset>-preview.png"),
    ] = None,
    split: Annotated[str | None, typer.Option(help="`self` or `cross`; both by default.")] = None,
    clips: Annotated[
        str,
        typer.Option(
            help="Number of clips of each split, counted from the first, or clip ids separated by commas."
        ),
    ] = "8",
    frames: Annotated[
        int, typer.Option(help="Driving frames of each clip, from its first to its last.", min=1)
    ] = 4,
    size: Size = None,
    detector: Annotated[str, typer.Option(help=DETECTOR_HELP)] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing picture.")] = False,
) -> None:
    """Draw a contact sheet: portraits and driving frames as methods get them, with their landmarks. Prints its path."""
    from emojibench.cli.flags import chosen_clips
    from emojibench.dataset import load_dataset, locating
    from emojibench.dataset.preview import check_out, chosen, preview
    from emojibench.media import write_image

    locating.dataset(ref)
    dataset = load_dataset(ref, size=size, detector=detector)
    file = check_out(out or Path(f"{dataset.name}-preview.png"), overwrite=overwrite)
    write_image(file, preview(dataset, chosen(dataset, split, chosen_clips(clips)), frames))
    typer.echo(file)


@app.command()
def build(
    portraits: Annotated[Path, typer.Option(help="Folder of pictures; subfolders name domains.")],
    driving: Annotated[Path, typer.Option(help="Folder of driving videos.")],
    out: Annotated[Path, typer.Option(help="Dataset folder to make.")],
    name: Annotated[str | None, typer.Option(help="Name of the dataset; the folder's by default.")] = None,
    licence: Annotated[
        str, typer.Option(help="Terms under which portraits and videos may be used.")
    ] = "unstated; see the sources",
    subjects: Annotated[
        Path | None,
        typer.Option(
            help="CSV table with columns file, subject and, if wanted, domain. A file that is not in it is "
            "a subject of its own."
        ),
    ] = None,
    detector: Annotated[str, typer.Option(help=DETECTOR_HELP)] = "auto",
    size: Annotated[int, typer.Option(help="Side of the stored square frames in pixels.")] = 256,
    frames: Annotated[int, typer.Option(help="Length of every driving sequence.")] = 64,
    fps: Annotated[
        float, typer.Option(help="Target frame rate; every n-th frame is taken to come close to it.")
    ] = 25.0,
    min_fps: Annotated[float, typer.Option(help="Slower videos are left out.")] = 10.0,
    min_detected: Annotated[
        float, typer.Option(help="Smallest share of frames with a face; other videos are left out.")
    ] = 0.9,
    windows: Annotated[
        int,
        typer.Option(help="Clips per video, spread over it by --seed; one alone starts with the first face."),
    ] = 1,
    start: Annotated[float, typer.Option(help="Seconds to skip at the beginning of each video.")] = 0.0,
    sound: Annotated[
        bool,
        typer.Option("--sound", help="Keep the sound of driving videos, for methods that are driven by it."),
    ] = False,
    pairs_per_portrait: Annotated[int, typer.Option(help="Cross clips per portrait.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the pairing and of the windows.")] = 0,
    jobs: Workers = None,
    executor: Executor = "local",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Build a benchmark from your own portraits and driving videos.

    Each file is either kept or left out with the reason; the same report is kept in build-report.json.
    """
    from emojibench.dataset import locating

    locating.existing(portraits, "--portraits", "folder")
    locating.existing(driving, "--driving", "folder")
    if subjects is not None:
        locating.existing(subjects, "--subjects", "table")
    from emojibench.parallel.choosing import named

    workers = named(executor, jobs, address)
    typer.echo("loading ...", err=True)
    from emojibench.dataset import building

    report = building.build(
        portraits,
        driving,
        out,
        name=name,
        licence=licence,
        subjects=subjects,
        detector=detector,
        executor=workers,
        size=size,
        frames=frames,
        fps=fps,
        min_fps=min_fps,
        min_detected=min_detected,
        windows=windows,
        start=start,
        sound=sound,
        pairs_per_portrait=pairs_per_portrait,
        seed=seed,
    )
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    _print_items(report)
    counts = ", ".join(f"{number} {split}" for split, number in report.clips.items())
    typer.echo(f"{out}: {counts} clips, digest {report.digest[:12]}")


@app.command()
def landmarks(
    picture: Annotated[Path, typer.Argument(help="Picture whose face no detector finds.")],
    points: Annotated[
        str | None,
        typer.Option(
            help="Pixels of right-eye, left-eye, nose, mouth; optionally right-mouth, left-mouth, chin, forehead: "
            "'right-eye=120,140 left-eye=200,140 ...'. Right is the person's own. Without it: a page to click them on."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the landmarks that are there.")
    ] = False,
) -> None:
    """Place landmarks by hand: click or type a few points, and a face of 478 points is fitted to them.

    Writes PICTURE's .json, which `data build` and `animate` read, and .landmarks.png to look at.
    """
    from emojibench.dataset import locating

    locating.existing(picture, "PICTURE", "picture")
    from emojibench.dataset import by_hand

    if points is None:
        typer.echo(by_hand.clicking_page(picture))
        typer.echo(
            "open this page in a browser, click the points, then run the command that it shows", err=True
        )
        return
    for file in by_hand.place(picture, points, overwrite=overwrite):
        typer.echo(file)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Dataset folder.")],
    as_json: AsJson = False,
) -> None:
    """Check every file of a dataset folder; exit code 2 when it is broken."""
    from emojibench.dataset import verifying

    report = verifying.verify(folder)
    typer.echo(report.model_dump_json(indent=2) if as_json else _verdict(report))
    if not report.ok:
        raise typer.Exit(2)


@app.command()
def stats(
    refs: Annotated[
        list[str], typer.Argument(metavar="D...", help="mini, synth, or dataset folders, to be compared.")
    ],
    clips: Annotated[
        int | None,
        typer.Option(min=1, help="Only the first so many clips of each split.", show_default="all"),
    ] = None,
    size: Size = None,
    detector: Annotated[str, typer.Option(help=DETECTOR_HELP)] = "auto",
    siglip: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="SigLIP model that scores pictures, as Hugging Face has it."),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a radar plot as well: FILE's .pdf, .png and .csv."),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="markdown, html, latex or csv.")] = "markdown",
    jobs: Workers = None,
    executor: Executor = "local",
    address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Compare datasets: resolution, identities, variety of expressions, head turns, motion, gaze.

    Driving landmarks that are not there yet are made, which takes seconds a sequence for synth.
    """
    from emojibench.dataset import locating

    for ref in refs:
        locating.dataset(ref)
    if figure is not None and (figure.suffix not in (".pdf", ".png") or not figure.stem.strip(".")):
        raise UserError(f"--figure: expected the name of a .pdf or .png file, got {str(figure)!r}")
    from emojibench.parallel.choosing import named

    workers = named(executor, jobs, address)
    typer.echo("loading ...", err=True)
    from emojibench.dataset import load_dataset
    from emojibench.dataset import stats as statistics
    from emojibench.reports import rendered
    from emojibench.reports.dataset_stats import stats_data, stats_page, write_radar

    with workers:
        found = [
            statistics.stats(
                load_dataset(ref, size=size, detector=detector), clips=clips, siglip=siglip, executor=workers
            )
            for ref in dict.fromkeys(refs)
        ]
    page = json.dumps(stats_data(found), indent=2) + "\n" if as_json else rendered(stats_page(found), form)
    typer.echo(page, nl=False)
    for file in write_radar(found, figure) if figure else ():
        typer.echo(f"wrote {file}", err=True)


@app.command()
def export(
    out: Annotated[Path, typer.Option(help="Folder that gets a folder for each clip.")],
    split: Split = "cross",
    ref: Data = "mini",
    clips: Clips = None,
    forms: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="Beside portrait.png and driving.mkv: mp4, frames, landmarks, motion (Follow-Your-Emoji's .npy), maps "
            "(its landmark maps), mesh (AniPortrait's), openpose (MagicDance's); repeat or separate by commas.",
        ),
    ] = None,
    size: Size = None,
    frames: Frames = None,
    detector: Annotated[str, typer.Option(help=DETECTOR_HELP)] = "auto",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Write clips as plain files for a program that is not a registered method. Started again, it continues.

    Its videos come back with `emojibench score --predictions DIR`. Exit code 2 if a clip failed.
    """
    from emojibench.cli.flags import chosen_clips, listed
    from emojibench.dataset import locating

    locating.dataset(ref)
    typer.echo("loading ...", err=True)
    from emojibench.dataset import export as exporting
    from emojibench.dataset import load_dataset

    report = exporting.export(
        load_dataset(ref, size=size, detector=detector),
        out,
        split=split,
        clips=chosen_clips(clips),
        forms=listed(forms) or (),
        frames=frames,
        jobs=jobs,
    )
    typer.echo(report.model_dump_json(indent=2) if as_json else _told_export(report))
    if not report.ok:
        raise typer.Exit(2)


def _facts(dataset: "Dataset") -> dict[str, object]:
    rows = dataset.entries
    domains = sorted({entry.domain for entry in rows})
    files = {path for entry in rows for path in entry.files}
    ready = sum(map(dataset.files.ready, files))
    return {
        "name": dataset.name,
        "version": dataset.version,
        "digest": dataset.digest,
        "licence": dataset.licence,
        "detector": dataset.detector,
        "frames": f"{min(entry.frames for entry in rows)} to {max(entry.frames for entry in rows)} per clip",
        "size": f"{dataset.size}x{dataset.size}",
        "clips": {split: len(dataset.clip_ids(split)) for split in dataset.splits},
        "domains": {domain: sum(entry.domain == domain for entry in rows) for domain in domains},
        "subjects": len({entry.subject for entry in rows}),
        "files": f"{ready} of {len(files)} there"
        + ("" if ready == len(files) else ", the others made when needed"),
    }


def _motions(dataset: "Dataset") -> dict[str, float | str]:
    """Motion of every clip whose landmarks are there, in eye distances, or why it is not known."""
    from emojibench.dataset.landmarks import read_driving
    from emojibench.dataset.motion import motion_of

    def figure(path: str) -> float | str:
        if not dataset.files.ready(path):
            return "not made yet"
        try:
            return motion_of(read_driving(dataset.files.path(path))) or 0.0
        except DatasetError as error:
            return str(error)

    by_path = {path: figure(path) for path in {entry.driving for entry in dataset.entries}}
    return {entry.clip_id: by_path[entry.driving] for entry in dataset.entries}


def _told(figures: dict[str, float | str]) -> str:
    from emojibench.dataset.motion import HARDLY

    known = {clip: figure for clip, figure in figures.items() if isinstance(figure, float)}
    if not known:
        return f"not known: {next(iter(figures.values()))}"
    told = f"{min(known.values()):.3f} to {max(known.values()):.3f} eye distances"
    if still := [clip for clip, figure in known.items() if figure < HARDLY]:
        told += f"; {len(still)} of {len(known)} clips hardly move: {', '.join(still)}"
    unknown = len(figures) - len(known)
    return told + (f"; not known of {unknown}" if unknown else "")


def _print_items(report: "BuildReport") -> None:
    files = [Path(item.file) for item in report.items]
    roots = {
        item.kind: commonpath(Path(other.file).parent for other in report.items if other.kind == item.kind)
        for item in report.items
    }
    names = [
        file.relative_to(roots[item.kind]).as_posix() for file, item in zip(files, report.items, strict=True)
    ]
    width = max(map(len, names))
    for name, item in zip(names, report.items, strict=True):
        verdict = "kept" if item.kept else "left out"
        typer.echo(f"{verdict:8}  {item.kind:8}  {name:{width}}  {item.reason}".rstrip())


def _verdict(report: "VerifyReport") -> str:
    lines = [f"{problem.severity:>7}  {problem.where}: {problem.what}" for problem in report.problems]
    state = "sound" if report.ok else "broken"
    counts = f"{report.clips} clips, {report.files} files, {len(report.problems)} problems"
    return "\n".join([*lines, f"{report.folder}: {state} ({counts})"])


def _told_export(report: "ExportReport") -> str:
    lines = []
    for clip in report.clips:
        lines.append(f"{clip.state:7}  {clip.clip_id}  {clip.reason}".rstrip())
        lines += [f"         without {name}: {why}" for name, why in clip.left_out.items()]
    states = [clip.state for clip in report.clips]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return "\n".join([*lines, f"{report.out}: {counts}"])
