import numpy as np
import pytest
from diffusers import UNet2DConditionModel, UNetMotionModel
from fye_faster.presets import Preset
from small_unets import build_image_unet, build_motion_unet
from tiny_model import TINY, head


@pytest.fixture(scope="session")
def tiny() -> Preset:
    return TINY


@pytest.fixture
def moving_landmarks() -> np.ndarray:
    """(6, 478, 3) normalised landmarks that drift slowly."""
    points = head() / (200, 240, 200)
    return np.stack([points + np.array((0.01 * k, 0, 0)) for k in range(6)]).astype(np.float32)


@pytest.fixture(scope="session")
def motion_unet() -> UNetMotionModel:
    return build_motion_unet()


@pytest.fixture(scope="session")
def image_unet() -> UNet2DConditionModel:
    return build_image_unet()
