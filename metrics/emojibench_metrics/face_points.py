"""Groups of the 478 MediaPipe face points that metrics compare."""

BROWS = (46, 52, 53, 55, 63, 65, 66, 70, 105, 107, 276, 282, 283, 285, 293, 295, 296, 300, 334, 336)
EYES = (
    *(7, 33, 133, 144, 145, 153, 154, 155, 157, 158, 159, 160, 161, 163, 173, 246),
    *(249, 263, 362, 373, 374, 380, 381, 382, 384, 385, 386, 387, 388, 390, 398, 466),
)
IRISES = tuple(range(468, 478))
NOSE = (1, 2, 4, 5, 6, 19, 45, 48, 64, 94, 97, 98, 115, 168, 195, 197, 220, 275, 278, 294, 326, 327, 344, 440)
MOUTH = (
    *(0, 13, 14, 17, 37, 39, 40, 61, 78, 80, 81, 82, 84, 87, 88, 91, 95, 146, 178, 181, 185, 191),
    *(267, 269, 270, 291, 308, 310, 311, 312, 314, 317, 318, 321, 324, 375, 402, 405, 409, 415),
)

EXPRESSION = tuple(sorted((*BROWS, *EYES, *IRISES, *NOSE, *MOUTH)))
"""126 points that carry the expression; the contour is left out, as in the landmarks that the paper draws."""

ALL = tuple(range(478))

OUTER_EYE_CORNERS = (33, 263)
"""Their distance is the unit of length ("eye distance")."""
