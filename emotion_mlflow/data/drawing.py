"""Draws one face: a person, a mood, a pose and a scene -> 96 x 96 pixels and exact labels, with Pillow only.

Used by `demo`, input examples and docs.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from emotion_mlflow.data.face_actions import Mood, act, choose_intensity
from emotion_mlflow.data.face_canvas import LARGER, Canvas
from emotion_mlflow.data.face_covers import COVERS, paint_cover, paint_glasses
from emotion_mlflow.data.face_features import paint_brow, paint_eye, paint_mouth
from emotion_mlflow.data.face_paint import paint_beard, paint_behind, paint_folds, paint_hair, paint_head, paint_nose
from emotion_mlflow.data.face_person import Person, draw_person, flushed, to_colour
from emotion_mlflow.data.face_shape import Pose, face_points
from emotion_mlflow.labels import EXPRESSIONS

SIZE = 96
"""Pixels a side of a drawn face."""
_COVERED_SHARE = 0.17
"""Of the faces, how many are partly hidden: with weak expressions the reason why no network can know them all."""


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


def draw_background(rng: np.random.Generator) -> Image.Image:
    """Plain, graded or cluttered, LARGER times as large as the face."""
    side = SIZE * LARGER
    first, second = rng.integers(70, 226, (2, 1)) + rng.integers(-45, 46, (2, 3))
    across = np.linspace(0, 1, 16)
    towards = rng.uniform(-1, 1, 2)
    ramp = towards[0] * across[None, :] + towards[1] * across[:, None]
    ramp = (ramp - ramp.min()) / max(float(np.ptp(ramp)), 1e-6)
    if rng.integers(0, 2):
        grade = np.clip(first + (second - first) * ramp[..., None], 0, 255)
        picture = Image.fromarray(grade.astype(np.uint8)).resize((side, side), Image.Resampling.BILINEAR)
    else:
        picture = Image.new("RGB", (side, side), to_colour(first))
    if rng.random() < 0.45:
        _clutter(rng, picture)
    return picture


def _clutter(rng: np.random.Generator, picture: Image.Image) -> None:
    brush = ImageDraw.Draw(picture)
    for _ in range(rng.integers(3, 9)):
        x, y = rng.uniform(-0.2, 1.0, 2) * picture.width
        width, height = rng.uniform(0.08, 0.5, 2) * picture.width
        shape = brush.ellipse if rng.random() < 0.5 else brush.rectangle
        shape((x, y, x + width, y + height), fill=to_colour(rng.integers(60, 220) + rng.integers(-50, 51, 3)))


def _light(rng: np.random.Generator, pixels: np.ndarray, *, head: np.ndarray, pose: Pose) -> np.ndarray:
    """(96, 96, 3) lit from a side, the head as an ellipsoid (Lambert 1760), then the lamp's colour and strength."""
    grid = np.arange(SIZE) + 0.5
    u, v = ((grid - pose.x) / (1.25 * pose.scale))[None, :], ((grid - pose.y) / (1.6 * pose.scale))[:, None]
    deep = np.sqrt(np.clip(1 - u**2 - v**2, 0.02, 1))
    lamp = np.append(rng.uniform(-0.9, 0.9), [rng.uniform(-0.8, 0.35), 0.75])
    lamp = lamp / np.linalg.norm(lamp)
    lit = np.clip(u * lamp[0] + v * lamp[1] + deep * lamp[2], 0, 1)
    ambient = rng.uniform(0.55, 0.8)
    shade = 1 + head * (ambient + (1 - ambient) * 1.25 * lit - 1)
    tint = rng.uniform(0.82, 1.12) * (1 + rng.uniform(-0.09, 0.09, 3))
    return pixels * shade[..., None] * tint


def _camera(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """(96, 96, 3) uint8 as a camera gives them: at times grey or blurred, always a little noisy."""
    if rng.random() < 0.12:
        pixels = np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < 0.18:
        wide = np.pad(pixels, ((1, 1), (1, 1), (0, 0)), mode="edge")
        pixels = (wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] + pixels) / 5
    pixels = pixels + rng.normal(0, rng.uniform(1, 4), (SIZE, SIZE, 1))
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def paint(
    rng: np.random.Generator, *, person: Person, mood: Mood, pose: Pose, covered: str
) -> tuple[np.ndarray, np.ndarray]:
    """Picture (96, 96, 3) uint8 and landmarks (68, 2) float32 pixels; scene, light and camera are drawn by lot."""
    canvas, person, actions = Canvas(draw_background(rng), pose), flushed(person, mood.actions), mood.actions
    marks = pose.project(face_points(person.build, actions))
    paint_behind(canvas, person)
    outline = paint_head(canvas, person, marks)
    paint_folds(canvas, person, actions, marks)
    paint_beard(canvas, person, marks)
    paint_nose(canvas, person, marks)
    paint_mouth(canvas, person, actions, marks)
    for eye in (marks[36:42], marks[42:48]):
        paint_eye(canvas, person, actions, eye)
    paint_hair(canvas, person)
    for brow in (marks[17:22], marks[22:27]):
        paint_brow(canvas, person, brow)
    if person.glasses and covered != "sunglasses":
        paint_glasses(canvas, dark=False)
    paint_cover(canvas, person, cover=covered, side=int(rng.choice((-1, 1))))
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
    """One face, (96, 96, 3) uint8 RGB, and its exact labels; what is not given is drawn by lot.

    `intensity` is 0 to 1; `covered` "" leaves the face free, else one of COVERS.
    """
    expression = int(rng.integers(len(EXPRESSIONS))) if expression is None else expression
    person = draw_person(rng) if person is None else person
    intensity = choose_intensity(rng) if intensity is None else intensity
    if covered is None:
        covered = COVERS[rng.integers(len(COVERS))] if rng.random() < _COVERED_SHARE else ""
    mood, pose = act(rng, expression=expression, intensity=intensity), draw_pose(rng)
    image, marks = paint(rng, person=person, mood=mood, pose=pose, covered=covered)
    return image, Labels(
        expression=expression,
        valence=mood.valence,
        arousal=mood.arousal,
        landmarks=marks,
        intensity=intensity,
        covered=covered,
    )
