"""`emojibench report`: finished runs as leaderboard pages."""

import json
from pathlib import Path
from typing import Annotated

import typer


def report(
    chosen: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN]...", help="With --sheet: these run folders alone, in this order."),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder that holds run folders, at any depth.")] = Path("runs"),
    out: Annotated[
        Path, typer.Option(help="Root of the leaderboards; pages of your own runs go to OUT/local.")
    ] = Path("leaderboards"),
    accepted: Annotated[
        bool, typer.Option("--accepted", help="Render the accepted runs in OUT/accepted to OUT instead.")
    ] = False,
    accept: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="Make a finished run, or a row packed by `submit`, a row of OUT/accepted, then render as --accepted.",
        ),
    ] = None,
    replace: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="With --accept: why it takes the place of the row that is there.",
            show_default=False,
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
    html: Annotated[
        bool,
        typer.Option(
            "--html",
            help="Write a page for browsers instead, with a player of all clips, to OUT/local/html; print its path.",
        ),
    ] = False,
    videos: Annotated[
        int | None,
        typer.Option(
            metavar="CLIPS",
            help="With --html: make pictures of so many clips of each split, the worst first; of all by default.",
        ),
    ] = None,
    sheet: Annotated[
        bool,
        typer.Option(
            "--sheet",
            help="Write contact sheets instead, the same frames of all methods side by side: a JPEG for each track "
            "and split in OUT/local; print their paths.",
        ),
    ] = False,
    clips: Annotated[
        str | None,
        typer.Option(
            help="With --sheet: number of clips, counted from the first, or clip ids separated by commas.",
            show_default="8",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            help="With --sheet: frames of each clip.", show_default="3, fewer where there are many methods"
        ),
    ] = None,
    table: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Print one table in the shape of the paper's, 1 to 8; writes no page."
        ),
    ] = None,
    form: Annotated[
        str, typer.Option("--format", help="Of --table: markdown, html, latex or csv.", show_default=False)
    ] = "",
    figures: Annotated[
        list[str] | None,
        typer.Option(
            "--figure",
            metavar="NAME",
            help="Write figures as PDF, PNG and CSV to OUT/local/figures: pareto, domain, expression, yaw, time, "
            "agreement, or all; repeat or separate by commas.",
        ),
    ] = None,
    track: Annotated[
        str,
        typer.Option(
            help="With --table or --figure: this track alone, by its name or how it begins.",
            show_default=False,
        ),
    ] = "",
    campaigns: Annotated[
        list[Path] | None,
        typer.Option(
            "--campaign",
            metavar="FILE",
            help="JSON that `ablate` or `accel` wrote beside its page. With --table 3, 4 or 5: its rows in place of "
            "runs'; with --html: its tables on the page too. Repeatable.",
        ),
    ] = None,
    by: Annotated[
        str,
        typer.Option(
            help="With --table: a table for each `domain`, head `turn`, or `expression`.", show_default=False
        ),
    ] = "",
) -> None:
    """Print the leaderboard of every track (runs that can be compared) and write it as a Markdown page."""
    from emojibench.errors import UserError
    from emojibench.reports import accept as copy_accepted
    from emojibench.reports import write_pages

    if figures is not None:
        if as_json or html or sheet or form or by or campaigns or table is not None or accept is not None:
            raise UserError(
                "--figure: goes with --runs, --out, --accepted and --track alone; leave others out"
            )
        _figures(figures, runs, out, accepted=accepted, track=track)
        return
    if not sheet and (chosen or clips is not None or frames is not None):
        raise UserError("RUN, --clips, --frames: expected together with --sheet; add it, or leave them out")
    if sheet and (as_json or html or accepted or accept is not None or table is not None):
        raise UserError(
            "--sheet: does not go with --json, --html, --accepted, --accept or --table; leave one out"
        )
    if sheet:
        _sheet(chosen or [], runs, out, clips, frames)
        return
    if campaigns and table is None and not html:
        raise UserError(
            "--campaign: expected together with --table or --html; add one of them, or leave it out"
        )
    if campaigns and table is not None and (accepted or track or by):
        raise UserError(
            "--campaign: does not go with --accepted, --track or --by; its rows are all of one setting"
        )
    if videos is not None and not html:
        raise UserError("--videos: expected together with --html; add it, or leave --videos out")
    if html and as_json:
        raise UserError("--html, --json: expected one of them; leave the other out")
    if table is None and (form or track or by):
        raise UserError(
            "--format, --track, --by: expected together with --table; add `--table 1`, or leave them out"
        )
    if table is not None and (as_json or html or accept is not None):
        raise UserError(
            "--table: does not go with --json, --html or --accept; use --format csv or --format html"
        )
    if table is not None:
        _table(
            table,
            runs,
            out,
            accepted=accepted,
            form=form or "markdown",
            track=track,
            by=by,
            campaigns=campaigns or [],
        )
        return
    if replace and accept is None:
        raise UserError("--replace: expected together with --accept; add it, or leave --replace out")
    if accept is not None:
        typer.echo(f"accepted {copy_accepted(accept, out, replace=replace)}", err=True)
        accepted = True
    if html:
        _html(runs, out, accepted=accepted, videos=videos, campaigns=campaigns or [])
        return
    pages, unfinished = write_pages(runs, out, accepted=accepted)
    if as_json:
        typer.echo(json.dumps([page.data for page in pages if page.data], indent=2))
    else:
        typer.echo("\n".join(page.text for page in pages), nl=False)
    _tell_left_out(unfinished)
    for page in pages:
        typer.echo(f"wrote {page.path}", err=True)


def _sheet(chosen: list[Path], runs: Path, out: Path, clips: str | None, frames: int | None) -> None:
    from emojibench.cli.flags import chosen_clips
    from emojibench.reports import write_sheets

    files, unfinished = write_sheets(chosen or runs, out, clips=chosen_clips(clips), frames=frames)
    _tell_left_out(unfinished)
    for file in files:
        typer.echo(file)


def _html(runs: Path, out: Path, *, accepted: bool, videos: int | None, campaigns: list[Path]) -> None:
    from emojibench.reports import write_html

    page, unfinished = write_html(runs, out, accepted=accepted, videos=videos, campaigns=campaigns or [])
    _tell_left_out(unfinished)
    for folder in page.changed:
        typer.echo(f"left out {folder}: it was being written meanwhile; make the page again", err=True)
    for folder, clips in page.missing.items():
        what = "1 clip" if clips == 1 else f"{clips} clips"
        typer.echo(f"{folder}: {what} cannot be played; the page says which files are missing", err=True)
    typer.echo(page.index)


def _figures(names: list[str], runs: Path, out: Path, *, accepted: bool, track: str) -> None:
    from emojibench.cli.flags import listed
    from emojibench.reports import write_figures

    drawn, unfinished = write_figures(listed(names) or [], runs, out, accepted=accepted, track=track)
    _tell_left_out(unfinished)
    for line in drawn.absent:
        typer.echo(f"no {line}", err=True)
    for file in drawn.files:
        typer.echo(file)


def _table(
    number: int,
    runs: Path,
    out: Path,
    *,
    accepted: bool,
    form: str,
    track: str,
    by: str,
    campaigns: list[Path],
) -> None:
    from emojibench.reports import paper_page, rendered

    blocks, unfinished = paper_page(
        number, runs, out, accepted=accepted, track=track, by=by, campaigns=campaigns
    )
    typer.echo(rendered(blocks, form), nl=False)
    _tell_left_out(unfinished)


def _tell_left_out(folders: list[Path]) -> None:
    for folder in folders:
        typer.echo(f"left out {folder}: not finished; start its command again", err=True)
