"""Identity: is the person on the generated frames still the one on the portrait?

Protocol (the insightface pipeline, padded): a black border of a quarter of its sides around the frame, for SCRFD
hardly sees faces that fill a picture (the score of one frontal photograph rose from .47 to .82); SCRFD on that,
letterboxed to 640x640 at the top left, score 0.5, NMS 0.4; the largest face; similarity transform of its five points
to the 112x112 ArcFace template, bilinear, zero border; L2-normalised embedding; cosine with the portrait's, averaged
over frames. (Version 1 had no border.)

- `id_sim` (ArcFace iResNet-50 `w600k_r50` behind SCRFD-10G, the `buffalo_l` pack) and `id_sim_mobilefacenet`
  (128-d MobileFaceNet behind SCRFD-500M, ImageNet normalisation) are different metrics; values of different
  networks are not comparable.
- `<name>`: mean over frames with a detected face; `<name>_zero`: over all frames, a missing face counts 0;
  `<name>_detection`: share of frames with a face.

A portrait without a face leaves the similarities undefined. On cartoons and animals detection often fails and
the embedding means little: read the detection rate first.
Source: Deng et al., "ArcFace", CVPR 2019; Guo et al., "SCRFD", ICLR 2022; github.com/deepinsight/insightface.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emojibench_metrics.frames import in_threads
from emojibench_metrics.interface import ClipArrays, Figure, FindWeights, Traits

Embedding = NDArray[np.float64]
Rgb = tuple[float, float, float]

PADDING = 0.25
"""Width of the border on each side that is put around a picture before detection, in sides of the picture."""
SIDE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where eyes, nose and mouth corners belong on the aligned face, in pixels."""


@dataclass(frozen=True)
class Recogniser:
    """One detector and one recognition network, with what the network expects."""

    column: str
    detector: str
    """Weight-file name."""
    network: str
    """Weight-file name."""
    mean: Rgb
    """Subtracted from RGB in 0..255."""
    std: Rgb
    source: str

    @property
    def traits(self) -> tuple[Traits, ...]:
        """Similarity over detected frames, over all frames, and the detection rate."""
        cosine = Traits(
            self.column, "higher", "cosine", (-1.0, 1.0), self.source, frozenset({"portrait"}), version=2
        )
        return (
            cosine,
            replace(cosine, name=f"{self.column}_zero", source=f"{self.source}; missing face = 0"),
            Traits(
                f"{self.column}_detection",
                "higher",
                "share",
                (0.0, 1.0),
                f"{self.source}; faces found",
                version=2,
            ),
        )


BUFFALO = Recogniser(
    column="id_sim",
    detector="scrfd-10g",
    network="arcface-w600k-r50",
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
    source="insightface buffalo_l: SCRFD-10G, ArcFace w600k_r50",
)
MOBILEFACENET = Recogniser(
    column="id_sim_mobilefacenet",
    detector="scrfd-500m",
    network="mobilefacenet-arcface128",
    # This checkpoint was trained with ImageNet statistics; insightface's default is close but wrong.
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
    source="SCRFD-500M, MobileFaceNet 128-d trained with ArcFace loss (foamliu)",
)

TRAITS = (*BUFFALO.traits, *MOBILEFACENET.traits)


class FaceEmbedder:
    """Unit-length embedding of the largest face of a picture. Safe to use from several threads at once."""

    def __init__(self, detector: Path, network: Path, mean: Rgb, std: Rgb) -> None:
        """Open both ONNX files on the CPU, one thread a call: callers run frames side by side.

        Args:
            detector: SCRFD with key points.
            network: recognition network for 112x112 faces.
            mean: subtracted from RGB in 0..255.
            std: divides what is left.
        """
        from insightface.model_zoo.scrfd import SCRFD

        self._detector = SCRFD(str(detector), session=_session(detector))
        self._detector.prepare(0, input_size=(640, 640), det_thresh=0.5, nms_thresh=0.4)
        self._network = _session(network)
        self._input = self._network.get_inputs()[0].name
        self._mean, self._std = np.array(mean, np.float32), np.array(std, np.float32)

    def key_points(self, picture: NDArray[np.uint8]) -> NDArray[np.float64] | None:
        """(5, 2) eyes, nose and mouth corners of the largest face, in pixels; None without a face.

        Args:
            picture: (H, W, 3) uint8 RGB.
        """
        import cv2

        down, right = (round(PADDING * side) for side in picture.shape[:2])
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        padded = cv2.copyMakeBorder(bgr, down, down, right, right, cv2.BORDER_CONSTANT)
        boxes, points = self._detector.detect(padded)
        if not len(boxes):
            return None
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        return np.asarray(points[areas.argmax()] - (right, down), np.float64)

    def __call__(self, picture: NDArray[np.uint8]) -> Embedding | None:
        """(d,) unit vector of the largest face on (H, W, 3) uint8 RGB; None without a face."""
        import cv2

        points = self.key_points(picture)
        if points is None:
            return None
        face = cv2.warpAffine(np.ascontiguousarray(picture), alignment(points), (SIDE, SIDE))
        pixels = ((face - self._mean) / self._std).transpose(2, 0, 1)[None]
        (embedding,) = self._network.run(None, {self._input: np.ascontiguousarray(pixels, np.float32)})[0]
        return np.asarray(embedding / np.linalg.norm(embedding), np.float64)


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def alignment(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """(2, 3) least-squares similarity transform of five points (5, 2) onto `TEMPLATE`.

    Plane similarities are z -> a z + b in complex numbers, which makes the fit a line of arithmetic.
    """
    z, target = points @ [1, 1j], TEMPLATE @ [1, 1j]
    centred = z - z.mean()
    a = np.vdot(centred, target - target.mean()) / np.vdot(centred, centred).real
    b = target.mean() - a * z.mean()
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


class _Identity:
    """Identity columns of one recogniser."""

    kind: Literal["clip"] = "clip"
    packages = ("insightface", "onnxruntime")
    recogniser: Recogniser
    traits: tuple[Traits, ...]

    def __init__(self, find_weights: FindWeights) -> None:
        """Open detector and network."""
        detector, network = find_weights(self.recogniser.detector), find_weights(self.recogniser.network)
        self._embed = FaceEmbedder(detector, network, self.recogniser.mean, self.recogniser.std)

    def measure(self, clip: ClipArrays) -> dict[str, Figure]:
        """Similarity over detected frames, over all frames, and the detection rate."""
        portrait = None if clip.portrait is None else self._embed(clip.portrait)
        # Frames that repeat one another, as those of a still picture do, are looked at once.
        contents = [frame.tobytes() for frame in clip.generated]
        different = dict(zip(contents, clip.generated, strict=True))
        faces_of = dict(zip(different, in_threads(self._embed, different.values()), strict=True))
        faces = [faces_of[content] for content in contents]
        frames, found = len(faces), [face for face in faces if face is not None]
        name = self.recogniser.column
        figures = {f"{name}_detection": Figure(len(found) / frames, frames)}
        if portrait is None:
            reason = "no portrait" if clip.portrait is None else "no face detected on the portrait"
            return figures | {name: Figure(None, 0, reason), f"{name}_zero": Figure(None, 0, reason)}
        cosines = [float(portrait @ face) for face in found]
        each = np.full(frames, np.nan)
        each[[face is not None for face in faces]] = cosines
        figures[f"{name}_zero"] = Figure(sum(cosines) / frames, frames)
        figures[name] = (
            Figure(sum(cosines) / len(cosines), len(cosines), total=frames, frames=each)
            if cosines
            else Figure(None, 0, "no face detected in any generated frame", frames)
        )
        return figures


class Identity(_Identity):
    """Cosine of ArcFace embeddings of portrait and frames, insightface buffalo_l."""

    recogniser = BUFFALO
    traits = BUFFALO.traits


class IdentityMobileFaceNet(_Identity):
    """Cosine of face embeddings of portrait and frames, small MobileFaceNet."""

    recogniser = MOBILEFACENET
    traits = MOBILEFACENET.traits
