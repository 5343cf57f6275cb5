from itertools import combinations

import numpy as np
import pytest

from emotion_mlflow.labels import EXPRESSIONS
from emotion_mlflow.plots.style import (
    CLASS_STYLES,
    TRAIN,
    VAL,
    class_labels,
    compact,
    count,
    luminance,
    number,
    too_light,
)

# Machado, Oliveira & Fernandes 2009, severity 1.0, on linear RGB.
DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
PROTANOPIA = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
APART = 15.0
"""CIE 1976 colour difference; 2.3 is just noticeable, so 15 is told apart without comparing."""


def lab(colour: str, eye) -> np.ndarray:
    """CIE L*a*b* (D65) of `#rrggbb` as an eye with the matrix `eye` sees it."""
    encoded = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.array(XYZ) @ np.clip(np.array(eye) @ linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    root = np.where(seen > 216 / 24389, np.cbrt(seen), (24389 / 27 * seen + 16) / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


@pytest.mark.parametrize("eye", [np.eye(3), DEUTERANOPIA, PROTANOPIA], ids=["normal", "deuteranopia", "protanopia"])
def test_any_two_class_colours_are_told_apart(eye):
    seen = [lab(style.colour, eye) for style in CLASS_STYLES]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > APART
    assert np.linalg.norm(lab(TRAIN, eye) - lab(VAL, eye)) > APART


def test_classes_differ_without_colour_too():
    assert len(CLASS_STYLES) == len(EXPRESSIONS) == 8
    assert len({style.marker for style in CLASS_STYLES}) == 8
    # black and yellow share the solid line: the one is black, the other has a dark border
    assert len({style.line for style in CLASS_STYLES}) == 7


def test_every_colour_shows_on_white_paper_or_gets_a_border():
    # WCAG contrast on white: (1 + .05) / (luminance + .05)
    bare = [style.colour for style in CLASS_STYLES if not too_light(style.colour)]
    assert len(bare) == 7
    assert min(1.05 / (luminance(colour) + 0.05) for colour in bare) > 2


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.7406, "0.741"), (-0.0312, "-0.031"), (float("nan"), "not defined"), (1.0, "1.000")],
)
def test_a_number_has_three_digits_and_nan_is_not_defined(value, written):
    assert number(value) == written


def test_counts_are_written_as_people_write_them():
    assert (count(1, "face"), count(1291, "face")) == ("1 face", "1,291 faces")
    assert (compact(9999), compact(123_456)) == ("9,999", "123k")


def test_a_class_without_faces_is_named():
    assert class_labels(("happy", "contempt"), [500, 0]) == ["happy (500)", "contempt (no faces)"]
