"""Files that show the same under two names: kept once, so that no subject counts twice."""

from collections.abc import Iterable
from pathlib import Path

from emojibench.dataset.ingest import Item, first_frame_id
from emojibench.dataset.loading import sha256


def without_twins(root: Path, items: Iterable[Item]) -> list[Item]:
    """Of files with the same decoded pixels, and of clips with the same stored ones, only the first is kept.

    Args:
        root: where the files of kept items were stored.
        items: all of one kind.
    """
    files: dict[str, str] = {}
    clips: dict[str, Item] = {}
    unique = []
    for item in items:
        if item.kept:
            file = files.setdefault(item.content, item.file)
            clip = item if file != item.file else clips.setdefault(sha256(root / stored(item)), item)
            if file != item.file:
                item = left_out(item, f"the same content as {file}")
            elif clip is not item:
                item = left_out(item, f"the same frames as {clip.file} ({clip.reason})")
        unique.append(item)
    return unique


def without_shared_pictures(root: Path, items: list[Item]) -> list[Item]:
    """`items` without those whose portrait is another subject's, too: that of a picture, or a video's first frame."""
    owners: dict[str, Item] = {}
    pictures = {id(item): sha256(root / portrait_of(item)) for item in items if item.kept}
    for item in sorted(
        items, key=lambda item: item.kind
    ):  # driving videos, which are rarer, before portraits
        if item.kept:
            owners.setdefault(pictures[id(item)], item)
    unique = []
    for item in items:
        owner = owners[pictures[id(item)]] if item.kept else item
        if owner.subject != item.subject:
            item = left_out(
                item,
                f"its (first) picture is that of {owner.file}; say with --subjects that both show one subject",
            )
        unique.append(item)
    return unique


def stored(item: Item) -> str:
    """Where a kept item's pixels are, below the dataset folder."""
    return portrait_of(item) if item.kind == "portrait" else f"driving/{item.id}.mkv"


def portrait_of(item: Item) -> str:
    """Where a kept item's portrait is: its own, or its first frame."""
    return f"portraits/{item.id if item.kind == 'portrait' else first_frame_id(item.id)}.png"


def left_out(item: Item, reason: str) -> Item:
    """The item, not kept after all."""
    return item.model_copy(update={"kept": False, "reason": reason})
