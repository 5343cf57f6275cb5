"""The task in one place: names and order of expressions, affect range, landmark layouts. All rooms may use it.

Imports nothing but the standard library, so that the command line and the metrics start quickly.
"""

from dataclasses import dataclass

EXPRESSIONS = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "anger", "contempt")
"""AffectNet's order: the position is the label (Mollahosseini et al. 2017)."""

UNSCORED_EXPRESSIONS = (8, 9, 10)
"""AffectNet's csv labels None, Uncertain, No-Face: read as `no expression label`."""

NOT_ANNOTATED = -2.0
"""AffectNet's valence and arousal for `not annotated`."""

AFFECT_LOW, AFFECT_HIGH = -1.0, 1.0

TASKS = ("expression", "valence", "arousal", "landmarks")

PIXEL_CENTRE = 0.5
"""Landmark (0, 0) is the centre of the first pixel (dlib, AffectNet), which lies at .5 / width of the picture."""

SPLITS = ("train", "val", "test")

CLASS_AFFECT = (
    (-0.02, -0.02),
    (0.67, 0.08),
    (-0.63, -0.27),
    (0.18, 0.70),
    (-0.12, 0.76),
    (-0.68, 0.45),
    (-0.43, 0.55),
    (-0.51, 0.58),
)
"""Mean (valence, arousal) of each expression on 3,999 AffectNet pictures."""


@dataclass(frozen=True)
class LandmarkLayout:
    """How many points a face has, which swap places in a mirror, and which two give the face's size."""

    name: str
    points: int
    mirror: tuple[int, ...] | None
    """Position i of the mirrored face holds point mirror[i]; None where it is not known."""
    outer_eyes: tuple[int, int] | None
    """Outer eye corners, whose distance normalises NME; None: the box of the points does (`nme_box`)."""

    @property
    def width(self) -> int:
        """Numbers a face: x0, y0, x1, y1, ..."""
        return 2 * self.points


def _mirror_68() -> tuple[int, ...]:
    """The iBUG 68-point mirror permutation (an involution; Sagonas et al. 2013)."""
    pairs = [(i, 16 - i) for i in range(8)] + [(i, 43 - i) for i in range(17, 22)]
    pairs += [(31, 35), (32, 34), (36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)]
    pairs += [(48, 54), (49, 53), (50, 52), (55, 59), (56, 58), (60, 64), (61, 63), (65, 67)]
    order = list(range(68))
    for left, right in pairs:
        order[left], order[right] = right, left
    return tuple(order)


IBUG_68 = LandmarkLayout(name="ibug68", points=68, mirror=_mirror_68(), outer_eyes=(36, 45))


def landmark_layout(width: int) -> LandmarkLayout:
    """The layout of faces with `width` landmark numbers; without mirror and eyes unless it is the 68 points."""
    if width == IBUG_68.width:
        return IBUG_68
    return LandmarkLayout(name=f"points{width // 2}", points=width // 2, mirror=None, outer_eyes=None)
