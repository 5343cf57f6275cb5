"""A drawn person: build, colours, hair and what they wear. Used by `drawing` and `demo`."""

from dataclasses import dataclass, fields, replace

import numpy as np

from emotion_mlflow.data.face_actions import Actions
from emotion_mlflow.data.face_shape import Build

Colour = tuple[int, int, int]
"""Red, green, blue, 0-255."""

LIP: Colour = (176, 62, 66)
INK: Colour = (34, 26, 28)

_SKINS: tuple[Colour, ...] = (
    (255, 224, 196), (243, 203, 170), (226, 178, 138), (198, 144, 104), (156, 106, 74), (126, 84, 60), (104, 70, 52),
)  # fmt: skip
_HAIRS: tuple[Colour, ...] = (
    (30, 26, 26), (62, 42, 32), (104, 66, 38), (160, 108, 58),
    (214, 172, 104), (168, 78, 44), (150, 148, 150), (88, 60, 96),
)  # fmt: skip
_IRISES: tuple[Colour, ...] = ((70, 44, 28), (92, 62, 34), (58, 104, 150), (76, 122, 80), (90, 104, 116))
_CLOTHES: tuple[Colour, ...] = (
    (58, 82, 130), (150, 60, 64), (70, 116, 92), (214, 196, 150), (56, 56, 66), (190, 120, 70), (128, 96, 150),
)  # fmt: skip
_FLUSH: Colour = (214, 70, 56)
_PALE: Colour = (214, 220, 214)

_SPREAD = Build(
    width=0.05, chin=0.05, jaw=0.09, eye_size=0.09, eye_spacing=0.05, brow_height=0.08, brow_arch=0.35,
    nose_length=0.09, nose_width=0.15, mouth_width=0.09, lip_fullness=0.22,
)  # fmt: skip
"""Standard deviation of each proportion among people."""

_BEARDED_STYLES = ("bald", "short", "short", "curly")
_OTHER_STYLES = ("short", "curly", "long", "long", "bun", "bald")


@dataclass(frozen=True, kw_only=True)
class Person:
    """What stays the same on every face of one drawn person."""

    build: Build
    skin: Colour
    hair: Colour
    iris: Colour
    clothes: Colour
    hair_style: str  # "bald", "short", "curly", "long", "bun"
    brow_thickness: float  # half of it, head units
    lip_colour: float  # 0: the skin's own, 1: red
    glasses: bool
    beard: float  # 0: none, 1: full
    freckles: bool


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` where share is 0, `second` where it is 1."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def to_colour(values: np.ndarray) -> Colour:
    """(3,) numbers as a colour, clipped to 0-255."""
    red, green, blue = np.clip(values, 0, 255).astype(int).tolist()
    return red, green, blue


def draw_person(rng: np.random.Generator) -> Person:
    """A new person."""
    build = _draw_build(rng)
    beard = float(rng.uniform(0.4, 1)) if rng.random() < 0.16 else 0.0
    styles = _BEARDED_STYLES if beard else _OTHER_STYLES
    return Person(
        build=build,
        skin=_pick(rng, _SKINS),
        hair=_pick(rng, _HAIRS),
        iris=_pick(rng, _IRISES),
        clothes=_pick(rng, _CLOTHES, jitter=20),
        hair_style=styles[rng.integers(len(styles))],
        brow_thickness=float(rng.uniform(0.095, 0.14)),
        lip_colour=float(rng.uniform(0.35, 0.95)),
        glasses=bool(rng.random() < 0.14),
        beard=beard,
        freckles=bool(rng.random() < 0.15),
    )


def flushed(person: Person, actions: Actions) -> Person:
    """The person with the skin that the mood gives them: redder or paler."""
    colour, share = (_FLUSH, 0.22 * actions.flush) if actions.flush > 0 else (_PALE, -0.30 * actions.flush)
    return replace(person, skin=mix(person.skin, colour, share))


def _draw_build(rng: np.random.Generator) -> Build:
    names = [field.name for field in fields(Build)]
    away = rng.normal(0, 1, len(names)).clip(-2, 2)
    return Build(**{name: 1 + d * getattr(_SPREAD, name) for name, d in zip(names, away, strict=True)})


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...], *, jitter: int = 8) -> Colour:
    return to_colour(np.array(colours[rng.integers(len(colours))]) + rng.integers(-jitter, jitter + 1, 3))
