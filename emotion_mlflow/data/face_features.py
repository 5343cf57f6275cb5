"""Paints what an expression moves most, through its landmarks: eyes, brows and mouth. Used by `drawing`."""

import numpy as np

from emotion_mlflow.data.face_actions import Actions
from emotion_mlflow.data.face_canvas import Canvas
from emotion_mlflow.data.face_person import INK, LIP, Colour, Person, mix
from emotion_mlflow.data.face_shape import curve

_MOUTH: Colour = (62, 14, 22)
_TEETH: Colour = (246, 242, 232)
_TONGUE: Colour = (206, 92, 98)
_EYEWHITE: Colour = (250, 248, 244)
_LID: Colour = (90, 40, 36)
_TEAR: Colour = (168, 214, 240)

_OPEN, _WIDE_OPEN = 0.05, 0.16
"""Gap between the lips, head units, above which teeth are seen, and above which the tongue is too."""


def paint_eye(canvas: Canvas, person: Person, actions: Actions, eye: np.ndarray) -> None:
    """Eyeball and lids through six points: a corner, two above, a corner, two below."""
    upper, lower = curve(eye[:4]), curve(eye[[3, 4, 5, 0]])
    shape = np.concatenate([upper, lower])
    ball = canvas.copy()
    ball.area(shape, _EYEWHITE)
    _paint_iris(ball, person, actions, middle=(eye[0] + eye[3]) / 2)
    canvas.keep(ball, shape)
    canvas.line(lower, mix(person.skin, _LID, 0.55), width=0.028)
    canvas.line(upper, INK, width=0.06)
    if actions.tears > 0.35:
        _paint_tear(canvas, eye, length=actions.tears)
    if actions.lid_raise < 0.6:
        crease = eye[:4] - np.array([0, 0.075]) * canvas.pose.scale
        canvas.line(curve(crease), mix(person.skin, _LID, 0.4), width=0.025)


def _paint_iris(canvas: Canvas, person: Person, actions: Actions, *, middle: np.ndarray) -> None:
    gaze = np.array([0.12 * actions.gaze_side, 0.09 * actions.gaze_down + 0.01]) * canvas.pose.scale
    centre, size = middle + gaze, person.build.eye_size
    canvas.disc(centre, mix(person.iris, INK, 0.45), radius=0.135 * size)
    canvas.disc(centre, person.iris, radius=0.112 * size)
    canvas.disc(centre, INK, radius=0.06 * size)
    canvas.disc(centre + np.array([-0.045, -0.05]) * canvas.pose.scale, (255, 255, 255), radius=0.03 * size)


def _paint_tear(canvas: Canvas, eye: np.ndarray, *, length: float) -> None:
    """From the middle of the lower lid down the cheek."""
    start = (eye[4] + eye[5]) / 2
    end = start + np.array([0, 0.55 * length]) * canvas.pose.scale
    canvas.line(np.stack([start, end]), _TEAR, width=0.07)
    canvas.disc(end, _TEAR, radius=0.075)


def paint_brow(canvas: Canvas, person: Person, brow: np.ndarray) -> None:
    """A tapering brow along five points."""
    line = curve(brow)
    thick = person.brow_thickness * canvas.pose.scale * np.sin(np.pi * np.linspace(0.22, 0.9, len(line))) ** 0.6
    along = np.gradient(line, axis=0)
    length = np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) / length * thick[:, None]
    colour = mix(mix(person.hair, INK, 0.45), person.skin, 0.05)
    canvas.area(np.concatenate([line + across, (line - across)[::-1]]), colour)


def paint_mouth(canvas: Canvas, person: Person, actions: Actions, marks: np.ndarray) -> None:
    """Lips through points 48 to 59, what is between them through 60 to 67."""
    lips = np.concatenate([curve(marks[48:55]), curve(marks[[54, 55, 56, 57, 58, 59, 48]])])
    colour = mix(mix(person.skin, (150, 60, 56), 0.35), LIP, person.lip_colour)
    canvas.area(lips, colour)
    gap = float(np.linalg.norm(marks[66] - marks[62])) / canvas.pose.scale
    if gap > _OPEN:
        _paint_opening(canvas, actions, marks, gap=gap)
        if actions.tongue > 0.3:
            _paint_tongue(canvas, marks, length=actions.tongue)
    else:
        closed = np.concatenate([marks[48:49], curve(marks[60:65]), marks[54:55]])
        canvas.line(closed, mix(_MOUTH, colour, 0.1), width=0.05)
    for corner in (marks[48], marks[54]):
        canvas.disc(corner, mix(_MOUTH, colour, 0.35), radius=0.035)


def _paint_opening(canvas: Canvas, actions: Actions, marks: np.ndarray, *, gap: float) -> None:
    """Dark, with teeth and in a wide mouth the tongue; `gap` in head units."""
    top, bottom = curve(marks[60:65]), curve(marks[[64, 65, 66, 67, 60]])
    opening, down = np.concatenate([top, bottom]), (marks[66] - marks[62]) / gap
    inside = canvas.copy()
    inside.area(opening, _MOUTH)
    if gap > _WIDE_OPEN:
        inside.disc(marks[66] + down * 0.02, _TONGUE, radius=0.6 * gap * (1 - 0.5 * actions.squareness))
    upper = min(0.15, 0.55 * gap) + 0.25 * actions.squareness * gap
    inside.area(np.concatenate([top, (top + down * upper)[::-1]]), _TEETH)
    if actions.squareness > 0.3:
        inside.area(np.concatenate([bottom, (bottom - down * 0.28 * gap)[::-1]]), _TEETH)
    canvas.keep(inside, opening)


def _paint_tongue(canvas: Canvas, marks: np.ndarray, *, length: float) -> None:
    """Out over the lower lip."""
    root, across = (marks[62] + 2 * marks[66]) / 3, (marks[65] - marks[67]) * 0.42
    down = np.array([-across[1], across[0]]) / max(float(np.linalg.norm(across)), 1e-6)
    tip = down * canvas.pose.scale * (0.12 + 0.26 * length)
    edge = 0.95 * across
    shape = [root - across, root + across, root + edge + 0.75 * tip, root + 1.15 * tip, root - edge + 0.75 * tip]
    canvas.area(curve(np.stack(shape), closed=True), _TONGUE)
    canvas.line(np.stack([root, root + 0.7 * tip]), mix(_TONGUE, _MOUTH, 0.4), width=0.03)
