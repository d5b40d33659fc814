"""The scores of the paper's Fig. 6 by a SigLIP model: how aesthetic, dynamic and cartoon-like a dataset's pictures are.

The paper names neither model nor prompts, so these are ours. A score is the probability of the first of two prompts
where the model has to choose one of them (softmax of its two logits; its bias cancels), mean over pictures. Aesthetic
and cartoon are of portraits, each once; dynamic is of driving frames, up to `FRAMES` of each sequence at equal
distances.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emojibench import extras
from emojibench.dataset.dataset import Dataset
from emojibench.dataset.facts import Fact
from emojibench.dataset.manifest import ClipEntry
from emojibench.errors import UserError, one_line
from emojibench.media import iterate_video, read_image
from emojibench.progress import stage
from emojibench.types import Image

PROMPTS = {
    "aesthetic": ("a beautiful, high-quality portrait", "an ugly, low-quality portrait"),
    "dynamic": ("a face with an exaggerated expression", "a face with a neutral expression"),
    "cartoon": ("a cartoon portrait", "a photograph of a real person"),
}
"""Score to the prompt that it is the probability of, and the other one."""
FRAMES = 8
_BATCH = 16


class Siglip:
    """A model with its prompts."""

    def __init__(self, folder: Path) -> None:
        """Read a folder as Hugging Face has them: config, model.safetensors, tokenizer, preprocessor. Unpickles none.

        Raises:
            UserError: it holds no such model.
            UnavailableError: transformers is not installed.
        """
        extras.require("transformers", "safetensors", what="scoring with SigLIP")
        if not folder.is_dir():
            raise UserError(f"--siglip: expected the folder of a SigLIP model, found none at {folder}")
        import transformers
        from safetensors import SafetensorError

        try:
            library: Any = transformers
            options: dict[str, Any] = {"local_files_only": True}
            model, told = library.SiglipModel.from_pretrained(
                folder, use_safetensors=True, output_loading_info=True, **options
            )
            if told["missing_keys"]:  # the library would draw them at random
                raise ValueError(f"no weights for {', '.join(sorted(told['missing_keys'])[:3])}")
            self._model = model.eval()
            self._pictures = library.AutoImageProcessor.from_pretrained(folder, **options)
            words = library.AutoTokenizer.from_pretrained(folder, **options)
            texts = [text for pair in PROMPTS.values() for text in pair]
            length = self._model.config.text_config.max_position_embeddings
            self._texts = words(
                texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
            )
        except (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
            raise UserError(
                f"--siglip {folder}: expected config.json, model.safetensors, a tokenizer and preprocessor_config.json "
                f"of a SigLIP model, got: {one_line(error)}"
            ) from error

    def __call__(self, pictures: Sequence[Image]) -> NDArray[np.float64]:
        """(N, 3) scores of pictures (H, W, 3), in the order of `PROMPTS`."""
        import torch

        found = []
        for start in range(0, len(pictures), _BATCH):
            batch = list(pictures[start : start + _BATCH])
            pixels = self._pictures(images=batch, return_tensors="pt")["pixel_values"]
            with torch.inference_mode():
                out = self._model(input_ids=self._texts["input_ids"], pixel_values=pixels)
            pairs = out.logits_per_image.double().reshape(len(batch), len(PROMPTS), 2)
            found.append(pairs.softmax(dim=2)[..., 0].numpy())
        return np.concatenate(found)


def scores(
    dataset: Dataset, entries: Iterable[ClipEntry], folder: Path, *, quiet: bool = False
) -> dict[str, Fact]:
    """The three scores of a dataset's clips, with progress on stderr unless `quiet`.

    Raises:
        UserError: as `Siglip`.
        DatasetError, MediaError: a picture or video cannot be read.
    """
    model = Siglip(folder)
    entries = list(entries)
    portraits = list(dict.fromkeys(entry.portrait for entry in entries))
    videos = list(
        dict.fromkeys((e.driving_frames, e.frames) for e in entries if e.driving_frames is not None)
    )
    found = []
    with stage("SigLIP scores", quiet=quiet) as progress:
        for pictures in _pictures(dataset, portraits, videos):
            found.append(model(pictures))
            progress(len(found), len(portraits) + len(videos))
    column = {name: number for number, name in enumerate(PROMPTS)}
    of_portraits, of_videos = np.concatenate(found[: len(portraits)]), found[len(portraits) :]
    facts = {
        name: Fact(float(of_portraits[:, column[name]].mean()), len(portraits))
        for name in ("aesthetic", "cartoon")
    }
    means = [scores[:, column["dynamic"]].mean() for scores in of_videos]
    lacks = Fact(None, 0, "the dataset has landmarks only, no driving videos")
    return facts | {"dynamic": Fact(float(np.mean(means)), len(means)) if means else lacks}


def _pictures(
    dataset: Dataset, portraits: Iterable[str], videos: Iterable[tuple[str, int]]
) -> Iterator[list[Image]]:
    """Each portrait, then the chosen frames of each video."""
    for path in portraits:
        yield [read_image(dataset.files.path(path))]
    for path, frames in videos:
        wanted = set(np.linspace(0, frames - 1, min(FRAMES, frames)).round().astype(int).tolist())
        video = enumerate(iterate_video(dataset.files.path(path)))
        yield [frame for number, frame in video if number in wanted]
