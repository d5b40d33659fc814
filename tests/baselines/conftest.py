import pytest
from portraits_with_faces import Portrait

from emojibench.face import open_detector
from emojibench.synth.sequences import portrait_state, render, sequences


@pytest.fixture(scope="session")
def portraits() -> list[Portrait]:
    """One portrait of each of the four domains."""
    with open_detector() as detector:
        found = []
        for sequence in sequences("mini"):
            image = render(sequence.identity, portrait_state(sequence))
            landmarks = detector.detect(image)
            assert landmarks is not None
            found.append(Portrait(sequence.domain, image, landmarks))
        return found
