"""Named index sets of MediaPipe's 478 face points. Left and right are the person's own.

Outlines are closed rings in drawing order: consecutive points are neighbours, the last meets the first.
"""

POINTS = 478
"""468 mesh points, then five points for each iris (its centre first)."""

RIGHT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
LEFT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
RIGHT_IRIS = (468, 469, 470, 471, 472)
LEFT_IRIS = (473, 474, 475, 476, 477)
RIGHT_EYE_CORNERS = (33, 133)
"""(outer, inner)."""
LEFT_EYE_CORNERS = (263, 362)
"""(outer, inner)."""
RIGHT_EYELIDS = (159, 145)
"""(upper, lower) at the middle of the eye."""
LEFT_EYELIDS = (386, 374)
"""(upper, lower) at the middle of the eye."""

RIGHT_BROW = (46, 53, 52, 65, 55, 107, 66, 105, 63, 70)
LEFT_BROW = (276, 283, 282, 295, 285, 336, 296, 334, 293, 300)

OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
MOUTH_CORNERS = (61, 291)
"""(right, left) of the outer lips."""
INNER_LIP_MIDDLES = (13, 14)
"""(upper, lower); their distance is the mouth's opening."""

NOSE_BRIDGE = (168, 6, 197, 195, 5, 4, 1)
"""From between the eyes down to the tip; not a ring."""
NOSE_TIP = 1

OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
CHIN = 152
FOREHEAD = 10
