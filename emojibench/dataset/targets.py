"""Where the face of a clip should be: what landmark-driven methods follow and landmark accuracy compares with."""

from emojibench.dataset.clip import Clip
from emojibench.errors import DatasetError
from emojibench.types import Landmarks


def target_landmarks(clip: Clip) -> Landmarks:
    """Target landmarks (T, 478, 3) on the portrait's canvas, normalised; NaN where the driving has no face.

    `self`: the driving landmarks, since portrait and driving are one recording. `cross`: the driving motion
    aligned to the portrait (paper, section 4.1), because raw driving points would punish differences of identity;
    as the release does it where portrait and driving have head transforms, else from landmarks alone.

    Raises:
        DatasetError: a cross clip whose portrait has no landmarks, or whose head transforms are not its landmarks'.
    """
    if clip.split == "self":
        return clip.driving.landmarks
    if clip.portrait_landmarks is None:
        raise DatasetError(
            f"clip {clip.clip_id}: no face was found on the portrait, so the motion cannot be aligned to it; "
            "supply landmarks beside the portrait (<name>.json or <name>.npz) and build the dataset again"
        )
    from emojibench.face.align import align, align_with_transforms

    height, width = clip.portrait.shape[:2]
    driving = clip.driving
    if clip.portrait_transform is None or driving.transforms is None or driving.blendshapes is None:
        return align(
            clip.portrait_landmarks,
            driving.landmarks,
            portrait_size=(width, height),
            driving_size=driving.size,
        )
    try:
        return align_with_transforms(
            clip.portrait_landmarks,
            driving.landmarks,
            portrait_transform=clip.portrait_transform,
            driving_transforms=driving.transforms,
            driving_blendshapes=driving.blendshapes,
            portrait_size=(width, height),
            driving_size=driving.size,
        )
    except ValueError as error:
        raise DatasetError(f"clip {clip.clip_id}: {error}") from error
