"""Paints what hides a part of a face: glasses, hair, a scarf, a hand. Used by `drawing`."""

import numpy as np

from emotion_mlflow.data.face_canvas import Canvas, space
from emotion_mlflow.data.face_person import INK, Colour, Person, mix
from emotion_mlflow.data.face_shape import curve, skull

COVERS = ("hand", "scarf", "fringe", "sunglasses", "lock")

_FRAME: Colour = (38, 34, 40)
_TINTED: Colour = (30, 30, 38)
_ROUND = np.linspace(0, 2 * np.pi, 20, endpoint=False)
_BRIDGE = space((-0.14, 0.0, 0.34), (0.14, 0.0, 0.34))
_ARM = space((0.76, -0.03, 0.15), (1.0, -0.06, -0.25))
_FRINGE = space(
    (-1.02, -0.1, 0), (-0.7, -0.2, 0.2), (-0.3, -0.14, 0.25), (0.1, -0.18, 0.25), (0.5, -0.13, 0.25), (0.8, -0.2, 0.15),
    (1.02, -0.1, 0),
)  # fmt: skip
_LOCK = space(
    (0.2, -1.15, 0.1), (0.95, -0.9, 0), (1.12, 0.4, 0), (0.9, 1.3, 0.1), (0.62, 0.6, 0.2), (0.16, -0.1, 0.3)
)  # fmt: skip
_SCARF = space(
    (-1.1, 0.5, 0), (-0.5, 0.68, 0.3), (0.1, 0.62, 0.4), (0.6, 0.7, 0.3), (1.1, 0.5, 0), (1.15, 2.2, 0), (-1.15, 2.2, 0)
)  # fmt: skip
_CREASE = space((-1.0, -0.1, 0.2), (0, 0, 0.4), (1.0, -0.1, 0.2))
_PALM = space((0.95, 2.2, 0.5), (0.75, 1.2, 0.6), (0.3, 0.95, 0.6), (-0.1, 1.1, 0.6), (0.0, 2.2, 0.5))


def paint_cover(canvas: Canvas, person: Person, *, cover: str, side: int) -> None:
    """One of COVERS before the face, on the left (side -1) or right (1) where it has a side; "" paints nothing."""
    if cover == "sunglasses":
        paint_glasses(canvas, dark=True)
    elif cover == "fringe":
        outline = [curve(canvas.flat(_FRINGE)), curve(canvas.flat(skull(person.build, grow=1.1)))[::-1]]
        canvas.area(np.concatenate(outline), person.hair)
    elif cover == "lock":
        canvas.area(curve(canvas.flat(_LOCK * (side, 1, 1)), closed=True), person.hair)
    elif cover == "scarf":
        _paint_scarf(canvas, person)
    elif cover == "hand":
        _paint_hand(canvas, person, side=side)


def paint_glasses(canvas: Canvas, *, dark: bool) -> None:
    """Glasses on the nose; dark ones hide the eyes."""
    for side in (-1, 1):
        x, y, z = side * 0.45 + 0.33 * np.cos(_ROUND), 0.03 + 0.26 * np.sin(_ROUND), 0.22 - 0.1 * side * np.cos(_ROUND)
        rim = canvas.flat(np.stack([x, y, z], axis=1))
        if dark:
            canvas.area(rim, _TINTED)
        canvas.line(np.concatenate([rim, rim[:2]]), _FRAME, width=0.05)
        canvas.line(canvas.flat(_ARM * (side, 1, 1)), _FRAME, width=0.05)
    canvas.line(canvas.flat(_BRIDGE), _FRAME, width=0.05)


def _paint_scarf(canvas: Canvas, person: Person) -> None:
    canvas.area(canvas.flat(_SCARF), mix(person.clothes, (255, 255, 255), 0.15))
    for y in (0.95, 1.25):
        canvas.line(canvas.flat(_CREASE + np.array([0, y, 0])), mix(person.clothes, INK, 0.3), width=0.05)


def _paint_hand(canvas: Canvas, person: Person, *, side: int) -> None:
    """Four fingers over the mouth and a palm that comes from below."""
    edge, light = mix(person.skin, (90, 40, 30), 0.35), mix(person.skin, (255, 255, 255), 0.04)
    for k in range(4):
        x, y = -0.42 + 0.02 * k, 0.74 + 0.19 * k
        finger = canvas.flat(space((0.55, y + 0.12, 0.6), (x, y, 0.6)) * (side, 1, 1))
        canvas.line(finger, edge, width=0.24)
        canvas.line(finger, light, width=0.19)
    canvas.area(curve(canvas.flat(_PALM * (side, 1, 1)), closed=True), mix(person.skin, (90, 40, 30), 0.08))
