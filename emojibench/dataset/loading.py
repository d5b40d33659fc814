"""Opening datasets: embedded by name, others by folder."""

import hashlib
from pathlib import Path

from emojibench.dataset import locating
from emojibench.dataset.dataset import Dataset
from emojibench.dataset.manifest import ClipEntry, Manifest, read_manifest
from emojibench.dataset.preparing import Files
from emojibench.errors import DatasetError, UnavailableError, UserError
from emojibench.files.reading import open_file
from emojibench.parallel.executor import Root


def load(ref: str | Path, *, size: int | None = None, detector: str = "auto") -> Dataset:
    """See `emojibench.dataset.load_dataset`."""
    if size is not None and size < 16:
        raise UserError(f"--size: expected at least 16 pixels, got {size}")
    if (folder := locating.dataset(ref)) is None:
        from emojibench.dataset.embedded import embedded

        return embedded(str(ref), size=size, detector=detector)
    return _folder(folder, size=size, detector=detector)


class FolderFiles:
    """Files of a dataset folder, each verified against its sha256 when first touched."""

    def __init__(self, root: Path, entries: tuple[ClipEntry, ...]) -> None:
        self.root = root
        self._sha256 = {path: digest for entry in entries for path, digest in entry.sha256.items()}
        self._verified: set[str] = set()

    def path(self, relative: str) -> Path:
        """The file, once its bytes are what the manifest says. Raises `DatasetError` when they are not."""
        file = inside(self.root, relative)
        if relative not in self._verified:
            found = sha256(file)
            if found != self._sha256[relative]:
                raise DatasetError(
                    f"{file}: sha256 {found[:12]}, not {self._sha256[relative][:12]} as in the manifest; "
                    "the file was changed or damaged: restore it, or build the dataset again"
                )
            self._verified.add(relative)
        return file

    def ready(self, relative: str) -> bool:
        """Files of a folder need no making."""
        return True

    @property
    def roots(self) -> tuple[Root, ...]:
        """See `Files.roots`."""
        return (Root(self.root, locating.DATASET_FILE),)

    def sources(self, relative: str) -> tuple[Path, ...]:
        """See `Files.sources`."""
        return (self.root / relative,)


def inside(root: Path, relative: str) -> Path:
    """`root / relative`, with symbolic links followed, if that is still inside `root`.

    Raises:
        DatasetError: it leads outside, or there is no such file.
    """
    try:
        file = (root / relative).resolve()
    except RuntimeError as error:  # links that lead to one another
        raise DatasetError(f"{root / relative}: {error}; put the file itself there") from error
    if not file.is_relative_to(root.resolve()):
        raise DatasetError(f"{root / relative}: leads out of the dataset, to {file}; copy it inside")
    if not file.is_file():
        raise DatasetError(f"{root / relative}: missing; the manifest names it")
    return file


def sha256(file: Path) -> str:
    """Hex digest of a file.

    Raises:
        UserError: it cannot be read.
    """
    with open_file(file) as stream:
        try:
            return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise UserError(f"{file}: cannot be read: {error.strerror or error}") from error


def _folder(folder: Path, *, size: int | None, detector: str) -> Dataset:
    manifest, entries = read_manifest(folder)
    if manifest.recipe is not None:
        raise DatasetError(
            f"{folder}: the cache of a built-in dataset; use it by its name: --dataset {manifest.name}"
        )
    size = manifest.size if size is None else size
    if size > manifest.size:
        raise DatasetError(
            f"{folder}: frames are stored at {manifest.size} pixels, {size} are asked for; enlarged frames "
            f"would be scored as if they were sharp: ask for {manifest.size}, or build it with --size {size}"
        )
    files: Files = FolderFiles(folder, entries)
    wanted = _detector_for(manifest, detector)
    if wanted != manifest.detector:
        from emojibench.dataset.redetection import redetected

        files = redetected(files, manifest, entries, wanted)
    return Dataset(manifest=manifest, entries=entries, files=files, size=size, detector=wanted)


def _detector_for(manifest: Manifest, detector: str) -> str:
    """Id of the detector to use: under `auto` the dataset's own, if this machine has it or has none."""
    from emojibench.face import detector_id, has_detector

    if detector in ("auto", manifest.detector) and not has_detector():
        return manifest.detector  # its landmarks are there; only those of generated frames cannot be had
    if detector == "auto":
        try:
            return detector_id(manifest.detector)
        except (UserError, UnavailableError):
            return detector_id("auto")
    return detector_id(detector)
