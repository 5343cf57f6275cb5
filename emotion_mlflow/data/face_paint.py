"""Paints a head through its landmarks: what is behind it, skin, folds, nose, beard and hair. Used by `drawing`."""

import numpy as np

from emotion_mlflow.data.face_actions import Actions
from emotion_mlflow.data.face_canvas import Canvas, both, space
from emotion_mlflow.data.face_person import INK, LIP, Colour, Person, mix
from emotion_mlflow.data.face_shape import curve, skull

_WHITE: Colour = (255, 255, 255)
_FALL = space((1.18, 0.9, -0.5), (1.05, 1.7, -0.5), (-1.05, 1.7, -0.5), (-1.18, 0.9, -0.5))
_BUN = space((0, -1.38, -0.4))
_NECK = space((-0.52, 0.9, -0.5), (0.52, 0.9, -0.5), (0.62, 2.1, -0.5), (-0.62, 2.1, -0.5))
_SHOULDER = space((-2.6, 3.6, -0.6), (-2.2, 2.2, -0.6), (-0.7, 1.75, -0.5))
_BODY = np.concatenate([_SHOULDER, both(_SHOULDER)[1][::-1]])
_EAR = space((-1.02, -0.12, -0.3), (-1.2, -0.2, -0.35), (-1.16, 0.2, -0.35), (-0.98, 0.38, -0.3))
_CHEEK = space((0.58, 0.55, 0.05))
_FRECKLES = space((0.36, 0.42, 0.15), (0.5, 0.36, 0.15), (0.62, 0.46, 0.15), (0.46, 0.52, 0.15), (0.7, 0.36, 0.15))
_FROWN = space((0.07, -0.34, 0.25), (0.09, -0.12, 0.25))
_HAIRLINE = space(
    (1.0, 0, -0.2), (0.86, -0.55, -0.05), (0.45, -0.88, 0.05), (-0.1, -0.84, 0.05),
    (-0.6, -0.78, 0), (-0.88, -0.5, -0.05), (-1.0, 0, -0.2),
)  # fmt: skip


def paint_behind(canvas: Canvas, person: Person) -> None:
    """Long hair, neck, shoulders and ears: what the head stands before."""
    if person.hair_style == "long":
        fall = np.concatenate([skull(person.build, grow=1.17), _FALL])
        canvas.area(curve(canvas.flat(fall), closed=True), mix(person.hair, INK, 0.25))
    if person.hair_style == "bun":
        canvas.disc(canvas.flat(_BUN)[0], mix(person.hair, INK, 0.15), radius=0.42)
    canvas.area(canvas.flat(_NECK), mix(person.skin, INK, 0.22))
    canvas.area(curve(canvas.flat(_BODY)), person.clothes)
    for ear in both(_EAR * (person.build.width, 1, 1)):
        canvas.area(curve(canvas.flat(ear), closed=True), mix(person.skin, LIP, 0.12))


def paint_head(canvas: Canvas, person: Person, marks: np.ndarray) -> np.ndarray:
    """Skin through jaw points 0 to 16 and over the skull; gives the outline, (M, 2) pixels."""
    outline = np.concatenate([curve(marks[:17]), curve(canvas.flat(skull(person.build))[::-1])])
    canvas.area(outline, person.skin)
    for cheek in both(_CHEEK):
        for share in (0.25, 0.5, 0.75, 1.0):
            canvas.disc(canvas.flat(cheek)[0], mix(person.skin, LIP, 0.14 * share), radius=0.28 - 0.16 * share)
    for dots in both(_FRECKLES) if person.freckles else ():
        for dot in canvas.flat(dots):
            canvas.disc(dot, mix(person.skin, (120, 70, 40), 0.4), radius=0.028)
    return outline


def paint_folds(canvas: Canvas, person: Person, actions: Actions, marks: np.ndarray) -> None:
    """Wrinkles that actions make: forehead, between the brows, across the nose, beside the mouth."""
    dark = mix(person.skin, (70, 30, 24), 0.42)
    if actions.brow_inner_up + actions.brow_outer_up > 0.9:
        for y in (-0.78, -0.91):
            line = space((-0.42, y + 0.03, 0), (0, y, 0.1), (0.42, y + 0.03, 0))
            canvas.line(curve(canvas.flat(line)), dark, width=0.025)
    if actions.brow_lower > 0.4:
        for crease in both(_FROWN):
            canvas.line(canvas.flat(crease), dark, width=0.045 * actions.brow_lower)
    if actions.nose_wrinkle > 0.35:
        for y in (0.03, 0.13, 0.23):
            line = space((-0.15, y + 0.05, 0.22), (0, y, 0.34), (0.15, y + 0.05, 0.22))
            canvas.line(curve(canvas.flat(line)), dark, width=0.035)
    for nostril, corner, side in ((marks[31], marks[48], -1), (marks[35], marks[54], 1)):
        pulled = max(actions.corner_up, 0) + 1.2 * max(side * actions.smirk, 0) + actions.lip_raise
        if pulled > 0.3:
            out = np.array([side * 0.16, 0.0]) * canvas.pose.scale
            fold = np.stack([nostril + 0.6 * out, (nostril + corner) / 2 + 1.1 * out, corner + 0.75 * out])
            canvas.line(curve(fold), dark, width=0.04 * min(pulled, 1.2))


def paint_beard(canvas: Canvas, person: Person, marks: np.ndarray) -> None:
    """A beard along the lower jaw and over the lip; the mouth is painted on it."""
    if not person.beard:
        return
    cheek_right, lip_right = 0.55 * marks[13] + 0.45 * marks[54], 0.8 * marks[54] + 0.2 * marks[35]
    cheek_left, lip_left = 0.55 * marks[3] + 0.45 * marks[48], 0.8 * marks[48] + 0.2 * marks[31]
    middle = 0.55 * marks[33] + 0.45 * marks[51]
    outline = np.concatenate([marks[3:14], [cheek_right, lip_right, middle, lip_left, cheek_left]])
    canvas.area(curve(outline, closed=True), mix(person.skin, person.hair, 0.35 + 0.5 * person.beard))


def paint_nose(canvas: Canvas, person: Person, marks: np.ndarray) -> None:
    """Bridge, wings and nostrils through points 27 to 35."""
    shade, dark = mix(person.skin, (90, 40, 30), 0.22), mix(person.skin, (60, 20, 20), 0.62)
    side = marks[31] if canvas.pose.yaw >= 0 else marks[35]
    shadow = np.stack([marks[28], marks[30], marks[33], side, (marks[28] + side) / 2])
    canvas.area(shadow, mix(person.skin, shade, 0.6))
    canvas.line(curve(marks[31:36]), shade, width=0.07)
    canvas.line(curve(marks[27:31]), mix(person.skin, _WHITE, 0.16), width=0.07)
    for nostril in (marks[32], marks[34]):
        canvas.disc(nostril, dark, radius=0.048)


def paint_hair(canvas: Canvas, person: Person) -> None:
    """Hair on top of the head, down to the hairline."""
    build, style = person.build, person.hair_style
    if style == "bald":
        return
    line = _HAIRLINE * (build.width, 1, 1)
    line[[0, -1], 1] = 0.02 if style in ("long", "curly") else -0.12
    top = skull(build, grow=1.16 if style == "curly" else 1.13)
    canvas.area(np.concatenate([curve(canvas.flat(top)), curve(canvas.flat(line))]), person.hair)
    if style == "curly":
        for point in canvas.flat(skull(build, grow=1.12)):
            canvas.disc(point, person.hair, radius=0.22)
    gleam = skull(build, from_angle=0.5)[4:9]
    canvas.line(curve(canvas.flat(gleam)), mix(person.hair, _WHITE, 0.18), width=0.06)
