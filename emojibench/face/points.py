"""The one table of MediaPipe's 478 face points. Left and right are the person's own.

Rings are closed: consecutive points are neighbours, the last meets the first. Chains are open.
"""

POINTS = 478
VERTICES = 468
"""Points of the face mesh; five for each iris follow, its centre first."""


def _ring(there: tuple[int, ...], back: tuple[int, ...]) -> tuple[int, ...]:
    """Two chains between the same ends as one ring."""
    return there + back[-2:0:-1]


# Eyes. Lids go from the outer corner to the inner one.
RIGHT_LOWER_LID = (33, 7, 163, 144, 145, 153, 154, 155, 133)
RIGHT_UPPER_LID = (33, 246, 161, 160, 159, 158, 157, 173, 133)
LEFT_LOWER_LID = (263, 249, 390, 373, 374, 380, 381, 382, 362)
LEFT_UPPER_LID = (263, 466, 388, 387, 386, 385, 384, 398, 362)
RIGHT_EYE = _ring(RIGHT_LOWER_LID, RIGHT_UPPER_LID)
LEFT_EYE = _ring(LEFT_LOWER_LID, LEFT_UPPER_LID)
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)
"""Centre, then the rim: a side, the top, the other side, the bottom."""
RIGHT_PUPIL, LEFT_PUPIL = RIGHT_IRIS[0], LEFT_IRIS[0]
IRIS_RIMS = (RIGHT_IRIS[2], RIGHT_IRIS[4], LEFT_IRIS[2], LEFT_IRIS[4])
"""Tops and bottoms of the irises, which the lids cover."""
RIGHT_EYE_CORNERS = (33, 133)
LEFT_EYE_CORNERS = (263, 362)
"""(outer, inner)."""
OUTER_EYE_CORNERS = (33, 263)
"""(right, left); their distance is the unit of length of faces, the eye distance."""
EYE_CORNERS = (33, 133, 362, 263)
RIGHT_EYELIDS = (159, 145)
LEFT_EYELIDS = (386, 374)
"""(upper, lower) at the middle of the eye."""

# Brows, from the temple to the nose.
RIGHT_BROW_EDGES = ((46, 53, 52, 65, 55), (70, 63, 105, 66, 107))
LEFT_BROW_EDGES = ((276, 283, 282, 295, 285), (300, 293, 334, 296, 336))
"""(lower, upper)."""
RIGHT_BROW = RIGHT_BROW_EDGES[0] + RIGHT_BROW_EDGES[1][::-1]
LEFT_BROW = LEFT_BROW_EDGES[0] + LEFT_BROW_EDGES[1][::-1]

# Mouth. Lips go from the right corner to the left one.
LOWER_LIP_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_LIP_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_LIP_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
UPPER_LIP_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
OUTER_LIPS = _ring(LOWER_LIP_OUTER, UPPER_LIP_OUTER)
INNER_LIPS = _ring(LOWER_LIP_INNER, UPPER_LIP_INNER)
MOUTH_CORNERS = (61, 291)
"""(right, left) of the outer lips."""
INNER_LIP_MIDDLES = (13, 14)
"""(upper, lower); their distance is the mouth's opening."""

# Nose.
NOSE_BRIDGE = (168, 6, 197, 195, 5, 4, 1)
"""From between the eyes down to the tip."""
NOSE_TIP = 1
NOSTRILS = (98, 97, 2, 326, 327)
"""Below the nose, from right to left."""
NOSE = (1, 2, 4, 5, 6, 19, 45, 48, 64, 94, 97, 98, 115, 168, 195, 197, 220, 275, 278, 294, 326, 327, 344, 440)

# Outline.
OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""A ring from the top of the forehead over the person's left side."""
FOREHEAD, CHIN = 10, 152
CONTOUR = OVAL[OVAL.index(251) : OVAL.index(21) + 1][::-1]
"""A chain from the right temple over the chin to the left one: the oval without the forehead."""
EARS = (234, 454)
"""(right, left): where the oval is widest."""
MIRRORED = (
    *zip(RIGHT_EYE_CORNERS, LEFT_EYE_CORNERS, strict=True), MOUTH_CORNERS, (127, 356), EARS,
)  # fmt: skip
"""Pairs of points on the right and left of the face."""

# Sets of points by what they tell.
EXPRESSION = tuple(
    sorted(
        {
            *RIGHT_BROW,
            *LEFT_BROW,
            *RIGHT_EYE,
            *LEFT_EYE,
            *RIGHT_IRIS,
            *LEFT_IRIS,
            *NOSE,
            *OUTER_LIPS,
            *INNER_LIPS,
        }
    )
)
"""126 points that carry the expression and that metrics compare; the contour is left out, as in the landmarks that the
paper draws."""
STABLE = (
    10, 151, 67, 109, 338, 297, 54, 284, 103, 332,  # forehead
    168, 6, 197, 195, 122, 351, 193, 417,  # bridge of the nose
    21, 251, 162, 389, 127, 356, 34, 264, 139, 368,  # temples
    *EYE_CORNERS,
)  # fmt: skip
"""Points that a facial expression hardly moves."""
EXPRESSIVE = (
    *(61, 291, 0, 17, 13, 14, 37, 267, 84, 314, 40, 270, 91, 321),  # mouth
    *RIGHT_BROW_EDGES[1], *LEFT_BROW_EDGES[1], *RIGHT_EYELIDS, *LEFT_EYELIDS, CHIN,
)  # fmt: skip
"""A few points that tell one expression from another."""
OPENPOSE = (
    127, 234, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 454, 356,  # jaw, from the right ear
    *RIGHT_BROW_EDGES[1], *LEFT_BROW_EDGES[1][::-1],
    168, 197, 5, 4, *NOSTRILS,
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
    RIGHT_PUPIL, LEFT_PUPIL,
)  # fmt: skip
"""The point nearest to each of OpenPose's 70 face points, in OpenPose's order (68 of iBUG, two pupils)."""
