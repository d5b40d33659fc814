"""A detector whose faces are red rectangles: it sees those that are large beside the picture."""

import cv2
import numpy as np

from emojibench.face.detect import Face
from emojibench.face.template import template

POINTS = template().astype(np.float32)
POINTS[:, :2] -= POINTS[:, :2].min(axis=0)
POINTS[:, :2] /= POINTS[:, :2].max(axis=0)  # so that the box around the points is the rectangle


def picture(width, height, *boxes):
    """A picture (height, width, 3) with faces at (left, top, side)."""
    image = np.full((height, width, 3), 90, np.uint8)
    for left, top, side in boxes:
        image[top : top + side, left : left + side] = (255, 0, 0)
    return image


class BlobDetector:
    """Sees rectangles of at least `least` of the picture's longer side, from `order` on: left (1) or right (-1)."""

    id = "blobs"

    def __init__(self, least=0.2, order=1):
        self.least, self.order = least, order

    def read_all(self, image):
        height, width = image.shape[:2]
        red = ((image[:, :, 0] > 200) & (image[:, :, 1] < 40)).astype(np.uint8)
        _, _, boxes, _ = cv2.connectedComponentsWithStats(red)
        faces = [
            Face(self._face(box, (width, height)), np.eye(4))
            for box in boxes[1:]
            if max(box[2:4]) >= self.least * max(width, height)
        ]
        return sorted(faces, key=lambda face: self.order * face.landmarks[0, 0])

    def read(self, image):
        return next(iter(self.read_all(image)), None)

    @staticmethod
    def _face(box, size):
        x, y, width, height = box[:4]
        points = POINTS.copy()
        points[:, :2] = (POINTS[:, :2] * (width, height) + (x, y)) / size
        return points
