"""Where the face of a clip should be: what landmark-driven methods follow and landmark accuracy compares with."""

from emojibench.dataset.clip import Clip, Landmarks
from emojibench.errors import DatasetError


def target_landmarks(clip: Clip) -> Landmarks:
    """Target landmarks (T, 478, 3) on the portrait's canvas, normalised; NaN where the driving has no face.

    `self`: the driving landmarks, since portrait and driving are one recording. `cross`: the driving motion
    aligned to the portrait (paper, section 4.1), because raw driving points would punish differences of identity.

    Raises:
        DatasetError: a cross clip whose portrait has no landmarks.
    """
    if clip.split == "self":
        return clip.driving.landmarks
    if clip.portrait_landmarks is None:
        raise DatasetError(
            f"clip {clip.clip_id}: no face was found on the portrait, so the motion cannot be aligned to it; "
            "supply landmarks beside the portrait (<name>.json or <name>.npz) and build the dataset again"
        )
    from reference_model.alignment import align

    height, width = clip.portrait.shape[:2]
    return align(
        clip.portrait_landmarks,
        clip.driving.landmarks,
        portrait_size=(width, height),
        driving_size=clip.driving.size,
    )
