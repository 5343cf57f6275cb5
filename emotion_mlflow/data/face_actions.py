"""What a drawn face does: an expression's muscle actions, and the valence and arousal that go with them.

Action names follow FACS (Ekman & Friesen 1978; AU numbers in the comments). Used by `drawing` and `demo`.
"""

from dataclasses import dataclass, fields, replace

import numpy as np

from emotion_mlflow.labels import AFFECT_HIGH, AFFECT_LOW, CLASS_AFFECT, EXPRESSIONS

AFFECT_REACH = 1.2
"""A full expression reaches this multiple of its class's mean valence and arousal."""
TEMPER_SPREAD, TEMPER_LIMIT = 0.10, 0.25
"""Standard deviation and bound of what a single face adds to its valence and arousal, both of which it shows."""


@dataclass(frozen=True, kw_only=True)
class Actions:
    """Strength of each action: 0 at rest, about 1 when full; signed ones say so."""

    brow_inner_up: float = 0.0  # AU1
    brow_outer_up: float = 0.0  # AU2
    brow_lower: float = 0.0  # AU4, which also draws the brows together
    brow_skew: float = 0.0  # signed: above 0 the subject's left brow is the higher one
    lid_raise: float = 0.0  # AU5; below 0 the upper lid hangs
    lid_tighten: float = 0.0  # AU6, AU7: the lower lid comes up
    nose_wrinkle: float = 0.0  # AU9
    lip_raise: float = 0.0  # AU10
    corner_up: float = 0.0  # AU12; below 0 they go down (AU15)
    smirk: float = 0.0  # signed AU12 + AU14 on one side: above 0 the subject's left
    stretch: float = 0.0  # AU20; below 0 the mouth is rounded (AU18)
    press: float = 0.0  # AU23, AU24
    jaw_drop: float = 0.0  # AU25 to AU27
    squareness: float = 0.0  # how square the open mouth is: 0 an ellipse, 1 a box with bared teeth
    tongue: float = 0.0  # AU19: how far it comes out
    gaze_down: float = 0.0  # AU64; below 0 up (AU63)
    gaze_side: float = 0.0  # signed AU61, AU62: above 0 to the picture's right
    flush: float = 0.0  # blood in the face; below 0 it pales
    tears: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Mood:
    """What a face expresses: class, how strongly, and where that lies in valence and arousal."""

    expression: int
    """Position in EXPRESSIONS."""
    intensity: float
    """0 (nothing shows) to 1."""
    valence: float
    arousal: float
    actions: Actions


_FULL: dict[str, tuple[Actions, Actions]] = {
    "neutral": (Actions(), Actions()),
    "happy": (
        Actions(corner_up=1.05, lid_tighten=0.5, stretch=0.3, jaw_drop=0.2, brow_outer_up=0.15, flush=0.5),
        Actions(corner_up=1.2, lid_tighten=0.8, stretch=0.45, jaw_drop=0.7, brow_outer_up=0.25, flush=0.6),
    ),
    "sad": (
        Actions(brow_inner_up=1.1, lid_raise=-0.55, corner_up=-1.05, gaze_down=0.7, stretch=-0.15),
        Actions(brow_inner_up=1.2, lid_raise=-0.75, corner_up=-1.2, jaw_drop=0.2, gaze_down=0.4, tears=1.0),
    ),
    "surprise": (
        Actions(brow_inner_up=1.0, brow_outer_up=1.1, lid_raise=1.0, jaw_drop=0.8, stretch=-0.75),
        Actions(brow_inner_up=1.1, brow_outer_up=1.2, lid_raise=1.1, jaw_drop=1.2, stretch=-0.6),
    ),
    "fear": (
        Actions(
            brow_inner_up=1.2,
            brow_lower=0.2,
            lid_raise=1.05,
            stretch=0.75,
            jaw_drop=0.35,
            corner_up=-0.6,
            squareness=0.8,
            flush=-0.7,
        ),
        Actions(
            brow_inner_up=1.25,
            brow_lower=0.2,
            lid_raise=1.2,
            stretch=0.8,
            jaw_drop=0.6,
            corner_up=-0.75,
            squareness=0.9,
            flush=-1.0,
        ),
    ),
    "disgust": (
        Actions(
            brow_lower=0.55,
            lid_raise=-0.5,
            lid_tighten=1.0,
            nose_wrinkle=1.0,
            lip_raise=0.9,
            corner_up=-0.6,
            tongue=0.3,
        ),
        Actions(
            brow_lower=0.6,
            lid_raise=-0.65,
            lid_tighten=1.0,
            nose_wrinkle=1.1,
            lip_raise=1.0,
            corner_up=-0.8,
            jaw_drop=0.35,
            tongue=1.0,
        ),
    ),
    "anger": (
        Actions(
            brow_lower=1.25, brow_outer_up=0.35, lid_raise=0.3, lid_tighten=0.3, press=0.8, corner_up=-0.45, flush=0.9
        ),
        Actions(
            brow_lower=1.35,
            brow_outer_up=0.45,
            lid_raise=0.4,
            lid_tighten=0.3,
            jaw_drop=0.6,
            squareness=1.0,
            corner_up=-0.1,
            flush=1.2,
        ),
    ),
    "contempt": (
        Actions(smirk=1.1, lid_raise=-0.65, lid_tighten=0.3, brow_skew=0.8, press=0.3, gaze_side=0.8),
        Actions(smirk=1.25, lid_raise=-0.45, lid_tighten=0.2, brow_skew=1.2, press=0.1, gaze_side=1.0, gaze_down=-0.3),
    ),
}
"""Two full forms of each expression; a face shows something between them."""


def _between(first: Actions, second: Actions, *, share: float) -> Actions:
    """`first` where share is 0, `second` where it is 1."""
    mixed = {f.name: (1 - share) * getattr(first, f.name) + share * getattr(second, f.name) for f in fields(Actions)}
    return Actions(**mixed)


def _add(actions: Actions, **more: float) -> Actions:
    return replace(actions, **{name: getattr(actions, name) + value for name, value in more.items()})


def affect(expression: int, *, intensity: float, temper: tuple[float, float] = (0.0, 0.0)) -> tuple[float, float]:
    """Valence and arousal, -1..1: from (0, 0) towards AFFECT_REACH x CLASS_AFFECT by the intensity, plus the temper."""
    towards = AFFECT_REACH * intensity * np.asarray(CLASS_AFFECT[expression]) + temper
    valence, arousal = np.clip(towards, AFFECT_LOW, AFFECT_HIGH)
    return float(valence), float(arousal)


def choose_intensity(rng: np.random.Generator) -> float:
    """Mostly a clear expression (.6 to 1); in a tenth of faces one that hardly shows (.15 to .4)."""
    if rng.random() < 0.10:
        return float(rng.uniform(0.15, 0.4))
    return float(0.6 + 0.4 * rng.beta(2.0, 1.2))


def act(rng: np.random.Generator, *, expression: int, intensity: float) -> Mood:
    """One face's mood: every number that goes into its labels also moves something that is drawn."""
    first, second = _FULL[EXPRESSIONS[expression]]
    full = _between(first, second, share=rng.random())
    side = 1.0 if rng.random() < 0.5 else -1.0
    full = replace(full, smirk=side * full.smirk, brow_skew=side * full.brow_skew, gaze_side=side * full.gaze_side)
    shown = _between(Actions(), full, share=intensity)
    temper = np.clip(rng.normal(0, TEMPER_SPREAD, 2), -TEMPER_LIMIT, TEMPER_LIMIT)
    valence, arousal = affect(expression, intensity=intensity, temper=(temper[0], temper[1]))
    shown = _add(
        shown,
        corner_up=1.1 * temper[0],
        lid_raise=1.6 * temper[1],
        brow_outer_up=rng.normal(0, 0.06) + 0.4 * temper[1],
        brow_inner_up=rng.normal(0, 0.06),
        brow_skew=rng.normal(0, 0.05),
        stretch=rng.normal(0, 0.08),
        gaze_down=rng.normal(0, 0.12),
        gaze_side=rng.normal(0, 0.15),
    )
    return Mood(expression=expression, intensity=intensity, valence=valence, arousal=arousal, actions=shown)
