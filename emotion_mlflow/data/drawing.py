"""Draws one face: a person, a mood, a pose and a scene -> 96 x 96 pixels and exact labels, with Pillow only.

Used by `demo`, input examples and docs.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from emotion_mlflow.data.face_actions import Mood, act, choose_intensity
from emotion_mlflow.data.face_canvas import LARGER, Canvas
from emotion_mlflow.data.face_covers import COVERS, paint_cover, paint_glasses
from emotion_mlflow.data.face_paint import (
    paint_beard, paint_behind, paint_brow, paint_eye, paint_folds, paint_hair, paint_head, paint_mouth, paint_nose,
)  # fmt: skip
from emotion_mlflow.data.face_person import Person, draw_person, flushed, to_colour
from emotion_mlflow.data.face_shape import Pose, face_points
from emotion_mlflow.labels import EXPRESSIONS

SIZE = 96
"""Pixels a side of a drawn face."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Exact labels of one drawn face."""

    expression: int
    valence: float
    arousal: float
    landmarks: np.ndarray
    """(68, 2) float32 pixels of the picture, iBUG order; the first pixel spans 0 to 1; some may lie outside."""
    intensity: float
    covered: str
    """What hides a part of the face: "", "hand", "scarf", "fringe", "sunglasses" or "lock"."""


def draw_pose(rng: np.random.Generator) -> Pose:
    """How this picture was taken: mostly near the front, turned up to about 35 degrees."""
    yaw, pitch, roll = rng.normal(0, 1, 3).clip(-2, 2) * (0.24, 0.14, 0.16)
    x, y = rng.uniform(-6, 6, 2)
    return Pose(yaw=yaw, pitch=pitch, roll=roll, scale=float(rng.uniform(29, 38)), x=48.0 + x, y=43.5 + y)


def paint_background(rng: np.random.Generator) -> Image.Image:
    """A plain, graded or cluttered background, large."""
    side = SIZE * LARGER
    first, second = rng.integers(70, 226, (2, 1)) + rng.integers(-45, 46, (2, 3))
    across = np.linspace(0, 1, 16)
    towards = rng.uniform(-1, 1, 2)
    ramp = towards[0] * across[None, :] + towards[1] * across[:, None]
    ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
    grade = np.clip(first + (second - first) * ramp[..., None] * rng.integers(0, 2), 0, 255)
    picture = Image.fromarray(grade.astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    if rng.random() < 0.45:
        brush = ImageDraw.Draw(picture)
        for _ in range(rng.integers(3, 9)):
            x, y = rng.uniform(-0.2, 1.0, 2) * side
            w, h = rng.uniform(0.08, 0.5, 2) * side
            shape = brush.ellipse if rng.random() < 0.5 else brush.rectangle
            shape((x, y, x + w, y + h), fill=to_colour(rng.integers(60, 220) + rng.integers(-50, 51, 3)))
    return picture


def _light(rng: np.random.Generator, pixels: np.ndarray, *, head: np.ndarray, pose: Pose) -> np.ndarray:
    """Pixels (96, 96, 3) lit from a side: the head as an ellipsoid (Lambert 1760), then the lamp's colour and strength."""
    grid = np.arange(SIZE) + 0.5
    u = (grid[None, :] - pose.x) / (1.25 * pose.scale) + 0 * grid[:, None]
    v = (grid[:, None] - pose.y) / (1.6 * pose.scale) + 0 * grid[None, :]
    deep = np.sqrt(np.clip(1 - u**2 - v**2, 0.02, 1))
    lamp = np.append(rng.uniform(-0.9, 0.9), [rng.uniform(-0.8, 0.35), 0.75])
    lamp = lamp / np.linalg.norm(lamp)
    lit = np.clip(u * lamp[0] + v * lamp[1] + deep * lamp[2], 0, 1)
    ambient = rng.uniform(0.55, 0.8)
    shade = 1 + head * (ambient + (1 - ambient) * 1.25 * lit - 1)
    tint = rng.uniform(0.82, 1.12) * (1 + rng.uniform(-0.09, 0.09, 3))
    return pixels * shade[..., None] * tint


def _camera(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """(96, 96, 3) uint8 as a camera gives them: at times grey, blurred or noisy."""
    if rng.random() < 0.12:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.18:
        padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
        pixels = (padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] + pixels) / 5
    pixels = pixels + rng.normal(0, rng.uniform(1, 4), (SIZE, SIZE, 1))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def paint(rng: np.random.Generator, *, person: Person, mood: Mood, pose: Pose, covered: str) -> tuple[np.ndarray, np.ndarray]:
    """Picture (96, 96, 3) uint8 and landmarks (68, 2) float32 pixels."""
    canvas, person = Canvas(paint_background(rng), pose), flushed(person, mood.actions)
    marks = pose.project(face_points(person.build, mood.actions))
    paint_behind(canvas, person, marks)
    outline = paint_head(canvas, person, marks)
    paint_folds(canvas, person, mood.actions, marks)
    paint_beard(canvas, person, marks)
    paint_nose(canvas, person, marks)
    paint_mouth(canvas, person, mood.actions, marks)
    paint_eye(canvas, person, mood.actions, marks[36:42])
    paint_eye(canvas, person, mood.actions, marks[42:48])
    paint_hair(canvas, person)
    paint_brow(canvas, person, marks[17:22])
    paint_brow(canvas, person, marks[22:27])
    if person.glasses and covered != "sunglasses":
        paint_glasses(canvas, dark=False, marks=marks)
    paint_cover(canvas, person, covered, side=int(rng.choice((-1, 1))), marks=marks)
    head = np.asarray(canvas.mask(outline).reduce(LARGER), dtype=float) / 255
    pixels = np.asarray(canvas.picture.reduce(LARGER), dtype=float)
    return _camera(rng, _light(rng, pixels, head=head, pose=pose)), marks.astype(np.float32)


def draw_face(
    rng: np.random.Generator,
    *,
    expression: int | None = None,
    person: Person | None = None,
    intensity: float | None = None,
    covered: str | None = None,
) -> tuple[np.ndarray, Labels]:
    """One face, (96, 96, 3) uint8, and its exact labels; what is not given is drawn by lot."""
    expression = int(rng.integers(len(EXPRESSIONS))) if expression is None else expression
    person = draw_person(rng) if person is None else person
    intensity = choose_intensity(rng) if intensity is None else intensity
    if covered is None:
        covered = COVERS[rng.integers(len(COVERS))] if rng.random() < 0.17 else ""
    mood, pose = act(rng, expression=expression, intensity=intensity), draw_pose(rng)
    image, marks = paint(rng, person=person, mood=mood, pose=pose, covered=covered)
    labels = Labels(
        expression=expression, valence=mood.valence, arousal=mood.arousal, landmarks=marks, intensity=intensity, covered=covered
    )
    return image, labels
