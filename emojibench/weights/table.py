"""The files that metrics, detectors and methods need: where each comes from, how it is checked, its licence.

Sources of the checks: file names of download.pytorch.org and IQA-PyTorch carry the first eight hex digits of
their sha256; InsightFace publishes the digests of its model zoo; GitHub names every file by its git blob id; the
digests of the two Stable Diffusion parts are those that several public projects pin.
"""

from dataclasses import dataclass

_TORCHVISION = "BSD-3-Clause (torchvision)"
_LPIPS = "BSD-2-Clause (LPIPS)"
_INSIGHTFACE = "InsightFace models: research only"
_ZOO = "https://github.com/deepinsight/insightface/releases/download/v0.7"
_FYE = "https://huggingface.co/YueMafighting/FollowYourEmoji/resolve/main/ckpts"
_FYE_LICENCE = "none stated (Follow-Your-Emoji); treat as research only"
_HEADS = "https://github.com/richzhang/PerceptualSimilarity/raw/master/lpips/weights/v0.1"


UNPUBLISHED = "unpublished"
"""Stands for the digest of a file of which nobody publishes one. Such a file is found by its name, never downloaded,
and whoever reads it checks every tensor's name and shape."""


@dataclass(frozen=True)
class Archive:
    """A zip that is downloaded for the sake of its members."""

    file: str
    url: str
    bytes: int
    digest: str


@dataclass(frozen=True)
class Slice:
    """The tensors of a torch checkpoint whose names begin with `prefix`, saved without it."""

    source: str
    """Key of the checkpoint."""
    prefix: str
    tensors: str
    """`derive.tensor_digest` of the result: saved files of equal tensors differ from version to version."""


@dataclass(frozen=True)
class WeightFile:
    """One file of the registry."""

    file: str
    """Its name in the cache; a file of this name with another content is refused."""
    url: str
    """Official download; where `archive` or `slice_of` is set, of the file that it is taken from."""
    bytes: int
    digest: str
    """`sha256:<hex>`, in full or its published first digits; `git:<blob id>` where nothing else is known;
    `UNPUBLISHED` where nothing is."""
    licence: str
    used_by: tuple[str, ...]
    non_commercial: bool = False
    bytes_exact: bool = True
    """False: `bytes` is right within a quarter; the digest decides."""
    archive: Archive | None = None
    """The zip that holds it under its own name."""
    slice_of: Slice | None = None
    """How it is made where nobody has it ready-made."""
    packaged: tuple[str, str] | None = None
    """(Python package, path inside it) where an installed dependency carries it."""


_BUFFALO_L = Archive(
    file="buffalo_l.zip",
    url=f"{_ZOO}/buffalo_l.zip",
    bytes=288_621_354,
    digest="sha256:80ffe37d8a5940d59a7384c201a2a38d4741f2f3c51eef46ebb28218a7b0ca2f",
)
_BUFFALO_SC = Archive(
    file="buffalo_sc.zip",
    url=f"{_ZOO}/buffalo_sc.zip",
    bytes=14_969_382,
    digest="sha256:57d31b56b6ffa911c8a73cfc1707c73cab76efe7f13b675a05223bf42de47c72",
)

TABLE: dict[str, WeightFile] = {
    "squeezenet1_1": WeightFile(
        file="squeezenet1_1-b8a52dc0.pth",
        url="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        bytes=4_958_839,
        digest="sha256:b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        licence=_TORCHVISION,
        used_by=("squeezenet1_1-features",),
    ),
    "squeezenet1_1-features": WeightFile(
        file="squeezenet1_1-features.pth",
        url="https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
        bytes=2_899_197,
        digest="sha256:435cedb387e95bc8291893f61a3a64f0345b8c23a05139aceef43947efb3d52d",
        licence=_TORCHVISION,
        used_by=("lpips_squeeze",),
        slice_of=Slice(
            source="squeezenet1_1",
            prefix="features.",
            tensors="64961c314e2d68d004a1250115ffe6356fc4b02016eb7f17faf2a9058c1842f1",
        ),
    ),
    "alexnet": WeightFile(
        file="alexnet-owt-7be5be79.pth",
        url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        bytes=244_408_911,
        digest="sha256:7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        licence=_TORCHVISION,
        used_by=("lpips_alex",),
    ),
    "vgg16": WeightFile(
        file="vgg16-397923af.pth",
        url="https://download.pytorch.org/models/vgg16-397923af.pth",
        bytes=553_433_881,
        digest="sha256:397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        licence=_TORCHVISION,
        used_by=("lpips_vgg",),
    ),
    "lpips-lin-alex": WeightFile(
        file="lpips_v0.1_alex.pth",
        url=f"{_HEADS}/alex.pth",
        bytes=6_009,
        digest="sha256:df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0",
        licence=_LPIPS,
        used_by=("lpips_alex",),
        packaged=("lpips", "weights/v0.1/alex.pth"),
    ),
    "lpips-lin-vgg": WeightFile(
        file="lpips_v0.1_vgg.pth",
        url=f"{_HEADS}/vgg.pth",
        bytes=7_289,
        digest="sha256:a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
        licence=_LPIPS,
        used_by=("lpips_vgg",),
        packaged=("lpips", "weights/v0.1/vgg.pth"),
    ),
    "lpips-lin-squeeze": WeightFile(
        file="lpips_v0.1_squeeze.pth",
        url=f"{_HEADS}/squeeze.pth",
        bytes=10_811,
        digest="sha256:4a5350f23600cb79923ce65bb07cbf57dca461329894153e05a1346bd531cf76",
        licence=_LPIPS,
        used_by=("lpips_squeeze",),
        packaged=("lpips", "weights/v0.1/squeeze.pth"),
    ),
    "i3d-kinetics400": WeightFile(
        file="i3d_pretrained_400.pt",
        url="https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt",
        bytes=51_000_000,
        bytes_exact=False,
        digest="git:a867b87ac3a9097d200598b1d48a1b890d8ec744",
        licence="Apache-2.0 (port of deepmind/kinetics-i3d)",
        used_by=("fvd",),
    ),
    "scrfd-10g": WeightFile(
        file="det_10g.onnx",
        url=_BUFFALO_L.url,
        bytes=16_923_827,
        digest="sha256:5838f7fe053675b1c7a08b633df49e7af5495cee0493c7dcf6697200b85b5b91",
        licence=_INSIGHTFACE,
        non_commercial=True,
        used_by=("id_sim",),
        archive=_BUFFALO_L,
    ),
    "arcface-w600k-r50": WeightFile(
        file="w600k_r50.onnx",
        url=_BUFFALO_L.url,
        bytes=174_383_860,
        digest="sha256:4c06341c33c2ca1f86781dab0e829f88ad5b64be9fba56e56bc9ebdefc619e43",
        licence=_INSIGHTFACE,
        non_commercial=True,
        used_by=("id_sim",),
        archive=_BUFFALO_L,
    ),
    "scrfd-500m": WeightFile(
        file="det_500m.onnx",
        url=_BUFFALO_SC.url,
        bytes=2_524_817,
        digest="sha256:5e4447f50245bbd7966bd6c0fa52938c61474a04ec7def48753668a9d8b4ea3a",
        licence=_INSIGHTFACE,
        non_commercial=True,
        used_by=("id_sim_mobilefacenet",),
        archive=_BUFFALO_SC,
    ),
    "mobilefacenet-arcface128": WeightFile(
        file="mobilefacenet_arcface128.onnx",
        url="https://github.com/foamliu/MobileFaceNet/raw/a6cc9032a659b615f477833e1a70b5e7931bcccc/"
        "weights/MobileFaceNet.onnx",
        bytes=3_998_070,
        digest="sha256:b7120c095d60094f28a4a54ba6a8bf51b297a6273fb40ef6350dfec1f63d9507",
        licence="Apache-2.0 (foamliu/MobileFaceNet; trained on MS1M, treat as research)",
        used_by=("id_sim_mobilefacenet",),
    ),
    "hyperiqa-koniq10k": WeightFile(
        file="HyperIQA-resnet50-koniq10k-c96c41b1.pth",
        url="https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/"
        "HyperIQA-resnet50-koniq10k-c96c41b1.pth",
        bytes=110_000_000,
        bytes_exact=False,
        digest="sha256:c96c41b1",
        licence="PolyForm-Noncommercial-1.0.0 and NTU S-Lab (pyiqa)",
        non_commercial=True,
        used_by=("hyperiqa",),
    ),
    "face-landmarker-task": WeightFile(
        file="face_landmarker.task",
        url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
        "face_landmarker.task",
        bytes=3_758_596,
        digest="sha256:64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        licence="Apache-2.0 (MediaPipe)",
        used_by=("the `.task` landmark detector",),
    ),
    "fye-unet": WeightFile(
        file="unet.pth",
        url=f"{_FYE}/unet.pth",
        bytes=5_259_000_000,
        bytes_exact=False,
        digest=UNPUBLISHED,
        licence=_FYE_LICENCE,
        non_commercial=True,
        used_by=("fye-released",),
    ),
    "fye-referencenet": WeightFile(
        file="referencenet.pth",
        url=f"{_FYE}/referencenet.pth",
        bytes=3_432_000_000,
        bytes_exact=False,
        digest=UNPUBLISHED,
        licence=_FYE_LICENCE,
        non_commercial=True,
        used_by=("fye-released",),
    ),
    "fye-lmk-guider": WeightFile(
        file="lmk_guider.pth",
        url=f"{_FYE}/lmk_guider.pth",
        bytes=4_350_000,
        bytes_exact=False,
        digest=UNPUBLISHED,
        licence=_FYE_LICENCE,
        non_commercial=True,
        used_by=("fye-released",),
    ),
    "sd-vae-ft-mse": WeightFile(
        file="sd-vae-ft-mse.safetensors",
        url="https://huggingface.co/stabilityai/sd-vae-ft-mse/resolve/main/diffusion_pytorch_model.safetensors",
        bytes=334_643_276,
        digest="sha256:a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        licence="MIT (stabilityai/sd-vae-ft-mse)",
        used_by=("fye-released",),
    ),
    "sd-image-variations-encoder": WeightFile(
        file="sd-image-variations-encoder.bin",
        url="https://huggingface.co/lambdalabs/sd-image-variations-diffusers/resolve/main/"
        "image_encoder/pytorch_model.bin",
        bytes=1_215_993_967,
        digest="sha256:89d2aa29b5fdf64f3ad4f45fb4227ea98bc45156bbae673b85be1af7783dbabb",
        licence="CreativeML Open RAIL-M (lambdalabs/sd-image-variations-diffusers)",
        used_by=("fye-released",),
    ),
}
