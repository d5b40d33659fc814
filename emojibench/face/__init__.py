"""The one place where faces are found; everyone else receives landmark arrays.

`Detector.id` names detector, version and model digest. It belongs to a run's protocol: the two detectors
differ by about 0.01 of the eye distance on human faces and up to 0.06 on animals: never mix their landmarks.
"""

from emojibench.face.detect import Detector, detector_id, has_detector, open_detector

__all__ = ["Detector", "detector_id", "has_detector", "open_detector"]
