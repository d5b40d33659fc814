"""`fye+half`: the reference model with half the DDIM steps, the plainest rival of any cache."""

from emojibench_baselines.fye.reference_model import ReferenceModel


class FyeHalf(ReferenceModel):
    """FYE-Faster with 15 DDIM steps (`steps`) instead of 30."""

    name = "fye+half"
    steps = 15
