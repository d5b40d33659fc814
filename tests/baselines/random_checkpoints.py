"""Checkpoints of the right structure with random weights, from a repository's own classes and configuration.

`python random_checkpoints.py NAME WEIGHTS`, with the baseline's own python (hence the old syntax), in its checkout.
"""

import sys
from pathlib import Path

import torch
import yaml

sys.path.insert(0, str(Path.cwd()))
torch.manual_seed(0)


def states(**modules):
    return {name: module.state_dict() for name, module in modules.items()}


def config(name):
    return yaml.safe_load(Path("config", name).read_text())["model_params"]


def save(content, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, str(path))


def tps(weights):
    from modules.avd_network import AVDNetwork
    from modules.dense_motion import DenseMotionNetwork
    from modules.inpainting_network import InpaintingNetwork
    from modules.keypoint_detector import KPDetector

    params = config("vox-256.yaml")
    common = params["common_params"]
    checkpoint = states(
        inpainting_network=InpaintingNetwork(**params["generator_params"], **common),
        kp_detector=KPDetector(**common),
        dense_motion_network=DenseMotionNetwork(**common, **params["dense_motion_params"]),
        avd_network=AVDNetwork(num_tps=common["num_tps"], **params["avd_network_params"]),
    )
    save(checkpoint, weights / "vox.pth.tar")


def dagan(weights):
    import depth
    from modules.generator import DepthAwareGenerator
    from modules.keypoint_detector import KPDetector

    params = config("vox-adv-256.yaml")
    common = dict(params["common_params"], num_kp=15)
    encoder = depth.ResnetEncoder(18, False)
    generator = DepthAwareGenerator(**params["generator_params"], **common)
    detector = KPDetector(**params["kp_detector_params"], **dict(common, num_channels=4))
    show_motion(generator, detector)
    save(states(generator=generator, kp_detector=detector), weights / "DaGAN_vox_adv_256.pth.tar")
    save(encoder.state_dict(), weights / "depth_face_model/encoder.pth")
    decoder = depth.DepthDecoder(num_ch_enc=encoder.num_ch_enc, scales=range(4))
    save(decoder.state_dict(), weights / "depth_face_model/depth.pth")


@torch.no_grad()
def show_motion(generator, detector):
    """Let the portrait through, moved as what is dark moves in the driving frames; plain noise gives flat grey."""

    def pass_on(layer, gain=1.0, offset=0.0):
        layer.weight.zero_()
        layer.bias.zero_()
        for channel in range(3):
            layer.weight[channel, channel, layer.kernel_size[0] // 2, layer.kernel_size[1] // 2] = gain
            layer.bias[channel] = offset

    for block in [generator.first, *generator.down_blocks, *generator.up_blocks]:
        pass_on(block.conv)
    for block in generator.bottleneck:
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
    pass_on(generator.final, gain=5.0, offset=-2.5)  # a sigmoid follows
    motion = generator.dense_motion_network
    motion.occlusion.weight.zero_()
    motion.occlusion.bias.fill_(9.0)  # nothing is hidden
    motion.mask.weight.zero_()
    motion.mask.bias.zero_()
    motion.mask.bias[0] = -9.0  # no background
    # The last channels are the input itself, colours and depth: keypoints are the middle of what is dark.
    detector.kp.weight.zero_()
    detector.kp.weight[:, -4:-1, 3, 3] = -0.2 - 0.6 * torch.rand(len(detector.kp.weight), 3)


def mcnet(weights):
    from modules.generator import Unet_Generator_keypoint_aware
    from modules.keypoint_detector import KPDetector

    params = config("vox-256.yaml")
    common = dict(params["common_params"], num_kp=15)
    units = {"mbunit": "ExpendMemoryUnit", "mb_spatial": 32, "mb_channel": 512}
    checkpoint = states(
        generator=Unet_Generator_keypoint_aware(**params["generator_params"], **common, **units),
        kp_detector=KPDetector(**params["kp_detector_params"], **common),
    )
    save(checkpoint, weights / "mcnet.pth.tar")


def face_vid2vid(weights):
    from modules.generator import OcclusionAwareSPADEGenerator
    from modules.keypoint_detector import HEEstimator, KPDetector

    params = config("vox-256.yaml")
    common = params["common_params"]
    checkpoint = states(
        generator=OcclusionAwareSPADEGenerator(**params["generator_params"], **common),
        kp_detector=KPDetector(**params["kp_detector_params"], **common),
        he_estimator=HEEstimator(**params["he_estimator_params"], **common),
    )
    save(checkpoint, weights / "00000189-checkpoint.pth.tar")


def live_portrait(weights):
    from src.modules.appearance_feature_extractor import AppearanceFeatureExtractor
    from src.modules.motion_extractor import MotionExtractor
    from src.modules.spade_generator import SPADEDecoder
    from src.modules.stitching_retargeting_network import StitchingRetargetingNetwork
    from src.modules.warping_network import WarpingNetwork

    params = yaml.safe_load(Path("src/config/models.yaml").read_text())["model_params"]
    for name, module in {
        "appearance_feature_extractor": AppearanceFeatureExtractor,
        "motion_extractor": MotionExtractor,
        "spade_generator": SPADEDecoder,
        "warping_module": WarpingNetwork,
    }.items():
        network = module(**params[name + "_params"])
        save(network.state_dict(), weights / "liveportrait/base_models" / (name + ".pth"))
    stitching = params["stitching_retargeting_module_params"]
    checkpoint = states(
        retarget_shoulder=StitchingRetargetingNetwork(**stitching["stitching"]),
        retarget_mouth=StitchingRetargetingNetwork(**stitching["lip"]),
        retarget_eye=StitchingRetargetingNetwork(**stitching["eye"]),
    )
    save(checkpoint, weights / "liveportrait/retargeting_models/stitching_retargeting_module.pth")
    detectors(weights)


def detectors(weights):
    """Stand-ins for the ONNX files: they always see one face of the same shape in the middle of the picture."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def constant(path, size, outputs):
        values = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in outputs]
        zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
        nodes = [
            helper.make_node("ReduceMean", ["input"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),  # the input has to be used
            *(helper.make_node("Add", [name, "nothing"], ["out_" + name]) for name, _ in outputs),
        ]
        graph = helper.make_graph(
            nodes, "constant",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, size, size])],
            [helper.make_tensor_value_info("out_" + name, TensorProto.FLOAT, array.shape) for name, array in outputs],
            [*values, zero],
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, str(path))

    def oval(count):
        turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
        return np.stack([0.5 + 0.25 * np.cos(turns), 0.5 + 0.3 * np.sin(turns)], 1)

    scores, boxes, points = [], [], []
    for stride in (8, 16, 32):
        cells = 512 // stride
        score = np.full((cells, cells, 2), 0.01)
        if stride == 32:
            score[cells // 2, cells // 2, 0] = 0.9
        scores.append((f"score{stride}", score.reshape(-1, 1)))
        boxes.append((f"box{stride}", np.full((cells * cells * 2, 4), 150 / stride)))
        points.append((f"points{stride}", np.zeros((cells * cells * 2, 10))))
    constant(weights / "insightface/models/buffalo_l/det_10g.onnx", 512, [*scores, *boxes, *points])
    constant(
        weights / "insightface/models/buffalo_l/2d106det.onnx",
        192,
        [("face", oval(106).reshape(1, -1) * 2 - 1)],
    )
    face = oval(203).reshape(1, -1)
    constant(
        weights / "liveportrait/landmark.onnx",
        224,
        [("a", np.zeros((1, 1))), ("b", np.zeros((1, 1))), ("c", face)],
    )


globals()[sys.argv[1].replace("-", "_")](Path(sys.argv[2]))
