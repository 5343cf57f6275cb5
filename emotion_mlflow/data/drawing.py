"""Draws one face: a person, a mood, a pose and a scene -> 96 x 96 pixels and exact labels, with Pillow only.

Everything is painted several times larger and reduced, so edges are smooth. Used by `demo`, input examples and docs.
"""

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw

from emotion_mlflow.data.face_actions import Actions, Mood, act, choose_intensity
from emotion_mlflow.data.face_shape import Build, Pose, curve, face_points, skull
from emotion_mlflow.labels import EXPRESSIONS

SIZE = 96
"""Pixels a side of a drawn face."""
_LARGER = 3

Colour = tuple[int, int, int]

_SKINS = ((255, 224, 196), (243, 203, 170), (226, 178, 138), (198, 144, 104), (156, 106, 74), (126, 84, 60), (104, 70, 52))
_HAIRS = ((30, 26, 26), (62, 42, 32), (104, 66, 38), (160, 108, 58), (214, 172, 104), (168, 78, 44), (150, 148, 150), (88, 60, 96))
_IRISES = ((70, 44, 28), (92, 62, 34), (58, 104, 150), (76, 122, 80), (90, 104, 116))
_CLOTHES = ((58, 82, 130), (150, 60, 64), (70, 116, 92), (214, 196, 150), (56, 56, 66), (190, 120, 70), (128, 96, 150))
_LIP, _MOUTH, _TEETH, _TONGUE, _EYEWHITE, _INK = (176, 62, 66), (62, 14, 22), (246, 242, 232), (206, 92, 98), (250, 248, 244), (34, 26, 28)
_FLUSH, _PALE, _TEAR = (214, 70, 56), (214, 220, 214), (168, 214, 240)


@dataclass(frozen=True, kw_only=True)
class Person:
    """What stays the same on every face of one drawn person."""

    build: Build
    skin: Colour
    hair: Colour
    iris: Colour
    clothes: Colour
    hair_style: str  # "bald", "short", "curly", "long", "bun"
    brow_thickness: float
    lip_colour: float  # 0: the skin's own, 1: red
    glasses: bool
    beard: float  # 0: none, 1: full
    freckles: bool


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


def _pick(rng: np.random.Generator, colours: tuple[Colour, ...], *, jitter: int = 8) -> Colour:
    return _clip(np.array(colours[rng.integers(len(colours))]) + rng.integers(-jitter, jitter + 1, 3))


def _clip(colour: np.ndarray) -> Colour:
    red, green, blue = np.clip(colour, 0, 255).astype(int).tolist()
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` where share is 0, `second` where it is 1."""
    red, green, blue = (int(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def draw_person(rng: np.random.Generator) -> Person:
    """A new person: build, colours, hair, and what they wear on every picture."""
    spread = rng.normal(0, 1, 11).clip(-2, 2)
    sizes = (0.05, 0.05, 0.09, 0.09, 0.05, 0.08, 0.35, 0.09, 0.15, 0.09, 0.22)
    build = Build(**{name: 1 + s * d for name, s, d in zip(Build.__dataclass_fields__, spread, sizes, strict=True)})
    beard = float(rng.uniform(0.4, 1)) if rng.random() < 0.16 else 0.0
    styles = ("bald", "short", "short", "curly") if beard else ("short", "curly", "long", "long", "bun", "bald")
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


def draw_pose(rng: np.random.Generator) -> Pose:
    """How this picture was taken: mostly near the front, turned up to about 35 degrees."""
    yaw, pitch, roll = rng.normal(0, 1, 3).clip(-2, 2) * (0.24, 0.14, 0.16)
    x, y = rng.uniform(-6, 6, 2)
    return Pose(yaw=yaw, pitch=pitch, roll=roll, scale=float(rng.uniform(29, 38)), x=48.0 + x, y=43.5 + y)


class Canvas:
    """A large picture that is painted on in small-picture pixels or, through a pose, in head units."""

    def __init__(self, picture: Image.Image, pose: Pose) -> None:
        self.picture, self.pose = picture, pose
        self.brush = ImageDraw.Draw(picture)

    def flat(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) head units -> (N, 2) pixels of the small picture."""
        return self.pose.project(points)

    def _large(self, points: np.ndarray) -> list[float]:
        return (points * _LARGER - 0.5).ravel().tolist()

    def area(self, points: np.ndarray, colour: Colour) -> None:
        self.brush.polygon(self._large(points), fill=colour)

    def line(self, points: np.ndarray, colour: Colour, *, width: float) -> None:
        """A line `width` head units wide with round ends."""
        pixels = max(1, round(width * self.pose.scale * _LARGER))
        large = self._large(points)
        self.brush.line(large, fill=colour, width=pixels, joint="curve" if pixels > 5 else None)
        for x, y in (large[:2], large[-2:]):
            self.brush.ellipse((x - pixels / 2, y - pixels / 2, x + pixels / 2, y + pixels / 2), fill=colour)

    def disc(self, centre: np.ndarray, colour: Colour, *, radius: float) -> None:
        """A disc around (2,) pixels, its radius in head units."""
        (x, y), r = self._large(centre), radius * self.pose.scale * _LARGER
        self.brush.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def mask(self, points: np.ndarray) -> Image.Image:
        """The inside of a line of pixels, as a picture of 0 and 255."""
        mask = Image.new("L", self.picture.size, 0)
        ImageDraw.Draw(mask).polygon(self._large(points), fill=255)
        return mask

    def within(self, points: np.ndarray) -> "Canvas":
        """A copy to paint on; `keep` then takes over what lies inside the points."""
        return Canvas(self.picture.copy(), self.pose)

    def keep(self, other: "Canvas", points: np.ndarray) -> None:
        self.picture.paste(other.picture, (0, 0), self.mask(points))


def space(*points: tuple[float, float, float]) -> np.ndarray:
    """(N, 3) head units."""
    return np.array(points, dtype=float)


def _both(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points and their mirror image."""
    return points, points * (-1, 1, 1)


def paint_behind(canvas: Canvas, person: Person, marks: np.ndarray) -> None:
    """Long hair, neck, shoulders and ears: what the head stands before."""
    b, skin = person.build, person.skin
    if person.hair_style == "long":
        fall = np.concatenate([skull(b, grow=1.17), space((1.18, 0.9, -0.5), (1.05, 1.7, -0.5), (-1.05, 1.7, -0.5), (-1.18, 0.9, -0.5))])
        canvas.area(curve(canvas.flat(fall), closed=True), mix(person.hair, _INK, 0.25))
    if person.hair_style == "bun":
        canvas.disc(canvas.flat(space((0, -1.38, -0.4)))[0], mix(person.hair, _INK, 0.15), radius=0.42)
    body = space((-2.6, 3.6, -0.6), (-2.2, 2.2, -0.6), (-0.7, 1.75, -0.5), (0.7, 1.75, -0.5), (2.2, 2.2, -0.6), (2.6, 3.6, -0.6))
    canvas.area(canvas.flat(space((-0.52, 0.9, -0.5), (0.52, 0.9, -0.5), (0.62, 2.1, -0.5), (-0.62, 2.1, -0.5))), mix(skin, _INK, 0.22))
    canvas.area(curve(canvas.flat(body)), person.clothes)
    for ear in _both(space((-1.02 * b.width, -0.12, -0.3), (-1.2 * b.width, -0.2, -0.35), (-1.16 * b.width, 0.2, -0.35), (-0.98 * b.width, 0.38, -0.3))):
        canvas.area(curve(canvas.flat(ear), closed=True), mix(skin, _LIP, 0.12))


def flushed(person: Person, actions: Actions) -> Person:
    """The person with the skin that the mood gives them: redder or paler."""
    colour, share = (_FLUSH, 0.22 * actions.flush) if actions.flush > 0 else (_PALE, -0.30 * actions.flush)
    return replace(person, skin=mix(person.skin, colour, share))


def paint_head(canvas: Canvas, person: Person, marks: np.ndarray) -> np.ndarray:
    """Skin through jaw points 0 to 16 and over the skull; gives the outline (M, 2) pixels."""
    outline = np.concatenate([curve(marks[:17]), curve(canvas.flat(skull(person.build))[::-1])])
    canvas.area(outline, person.skin)
    for cheek in _both(space((0.58, 0.55, 0.05))):
        for share in (0.25, 0.5, 0.75, 1.0):
            canvas.disc(canvas.flat(cheek)[0], mix(person.skin, _LIP, 0.14 * share), radius=0.28 - 0.16 * share)
    if person.freckles:
        for x, y in ((0.36, 0.42), (0.5, 0.36), (0.62, 0.46), (0.46, 0.52), (0.7, 0.36)):
            for dot in _both(space((x, y, 0.15))):
                canvas.disc(canvas.flat(dot)[0], mix(person.skin, (120, 70, 40), 0.4), radius=0.028)
    return outline


def paint_beard(canvas: Canvas, person: Person, marks: np.ndarray) -> None:
    """A beard along the lower jaw and over the lip, under the mouth."""
    if not person.beard:
        return
    colour = mix(person.skin, person.hair, 0.35 + 0.5 * person.beard)
    chin = np.concatenate([marks[3:14], [0.55 * marks[13] + 0.45 * marks[54], marks[54] * 0.8 + marks[35] * 0.2]])
    chin = np.concatenate([chin, [marks[33] * 0.55 + marks[51] * 0.45, marks[48] * 0.8 + marks[31] * 0.2, 0.55 * marks[3] + 0.45 * marks[48]]])
    canvas.area(curve(chin, closed=True), colour)


def paint_folds(canvas: Canvas, person: Person, actions: Actions, marks: np.ndarray) -> None:
    """Wrinkles that actions make: forehead, between the brows, beside the nose, beside the mouth."""
    dark = mix(person.skin, (70, 30, 24), 0.42)
    raised = (actions.brow_inner_up + actions.brow_outer_up) / 2
    for k in range(2 if raised > 0.45 else 0):
        y = -0.78 - 0.13 * k
        canvas.line(curve(canvas.flat(space((-0.42, y + 0.03, 0), (0, y, 0.1), (0.42, y + 0.03, 0)))), dark, width=0.025)
    if actions.brow_lower > 0.4:
        for crease in _both(space((0.07, -0.34, 0.25), (0.09, -0.12, 0.25))):
            canvas.line(canvas.flat(crease), dark, width=0.045 * actions.brow_lower)
    if actions.nose_wrinkle > 0.35:
        for y in (0.03, 0.13, 0.23):
            line = space((-0.15, y + 0.05, 0.22), (0, y, 0.34), (0.15, y + 0.05, 0.22))
            canvas.line(curve(canvas.flat(line)), dark, width=0.035)
    for nostril, corner, side in ((31, 48, -1), (35, 54, 1)):
        pulled = max(actions.corner_up, 0) + 1.2 * max(side * actions.smirk, 0) + actions.lip_raise
        if pulled > 0.3:
            out = np.array([side * 0.16, 0.0]) * canvas.pose.scale
            fold = np.stack([marks[nostril] + 0.6 * out, (marks[nostril] + marks[corner]) / 2 + 1.1 * out, marks[corner] + 0.75 * out])
            canvas.line(curve(fold), dark, width=0.04 * min(pulled, 1.2))


def paint_nose(canvas: Canvas, person: Person, marks: np.ndarray) -> None:
    """Bridge, wings and nostrils through points 27 to 35."""
    shade, dark = mix(person.skin, (90, 40, 30), 0.22), mix(person.skin, (60, 20, 20), 0.62)
    side = marks[31] if canvas.pose.yaw >= 0 else marks[35]
    canvas.area(np.stack([marks[28], marks[30], marks[33], side, (marks[28] + side) / 2]), mix(person.skin, shade, 0.6))
    canvas.line(curve(marks[31:36]), shade, width=0.07)
    canvas.line(curve(marks[27:31]), mix(person.skin, (255, 255, 255), 0.16), width=0.07)
    for nostril in (marks[32], marks[34]):
        canvas.disc(nostril, dark, radius=0.048)


def paint_eye(canvas: Canvas, person: Person, actions: Actions, eye: np.ndarray) -> None:
    """Eyeball, iris, lids through six points: a corner, two above, a corner, two below."""
    upper, lower = curve(eye[:4]), curve(eye[[3, 4, 5, 0]])
    shape = np.concatenate([upper, lower])
    ball = canvas.within(shape)
    ball.area(shape, _EYEWHITE)
    middle = (eye[0] + eye[3]) / 2
    down = np.array([0.12 * actions.gaze_side, 0.09 * actions.gaze_down + 0.01]) * canvas.pose.scale
    look = middle + down
    size = person.build.eye_size
    ball.disc(look, mix(person.iris, _INK, 0.45), radius=0.135 * size)
    ball.disc(look, person.iris, radius=0.112 * size)
    ball.disc(look, _INK, radius=0.06 * size)
    ball.disc(look + np.array([-0.045, -0.05]) * canvas.pose.scale, (255, 255, 255), radius=0.03 * size)
    canvas.keep(ball, shape)
    canvas.line(lower, mix(person.skin, (90, 40, 36), 0.55), width=0.028)
    canvas.line(upper, _INK, width=0.06)
    if actions.tears > 0.35:
        paint_tear(canvas, eye, length=actions.tears)
    if actions.lid_raise < 0.6:
        crease = curve(eye[:4] - np.array([0, 0.075]) * canvas.pose.scale)
        canvas.line(crease, mix(person.skin, (90, 40, 36), 0.4), width=0.025)


def paint_tear(canvas: Canvas, eye: np.ndarray, *, length: float) -> None:
    """A tear from the middle of the lower lid down the cheek."""
    start = (eye[4] + eye[5]) / 2
    fall = np.array([0, 0.55 * length]) * canvas.pose.scale
    canvas.line(np.stack([start, start + fall]), _TEAR, width=0.07)
    canvas.disc(start + fall, _TEAR, radius=0.075)


def paint_brow(canvas: Canvas, person: Person, brow: np.ndarray) -> None:
    """A tapering brow along five points."""
    colour = mix(mix(person.hair, _INK, 0.45), person.skin, 0.05)
    line = curve(brow)
    thick = person.brow_thickness * canvas.pose.scale * np.sin(np.pi * np.linspace(0.22, 0.9, len(line))) ** 0.6
    along = np.gradient(line, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    canvas.area(np.concatenate([line + normal * thick[:, None], (line - normal * thick[:, None])[::-1]]), colour)


def paint_mouth(canvas: Canvas, person: Person, actions: Actions, marks: np.ndarray) -> None:
    """Lips through points 48 to 59, the opening with teeth and tongue through 60 to 67."""
    lips = np.concatenate([curve(marks[48:55]), curve(marks[[54, 55, 56, 57, 58, 59, 48]])])
    colour = mix(mix(person.skin, (150, 60, 56), 0.35), _LIP, person.lip_colour)
    canvas.area(lips, colour)
    top, bottom = curve(marks[60:65]), curve(marks[[64, 65, 66, 67, 60]])
    opening = np.concatenate([top, bottom])
    gap = np.linalg.norm(marks[66] - marks[62]) / canvas.pose.scale
    if gap > 0.05:
        inside = canvas.within(opening)
        inside.area(opening, _MOUTH)
        deep = (marks[66] - marks[62]) / max(gap, 1e-6)
        if gap > 0.16:
            inside.disc(marks[66] + deep * 0.02, _TONGUE, radius=0.6 * gap * (1 - 0.5 * actions.squareness))
        upper_teeth = min(0.15, 0.55 * gap) + 0.25 * actions.squareness * gap
        inside.area(np.concatenate([top, (top + deep * upper_teeth)[::-1]]), _TEETH)
        if actions.squareness > 0.3:
            inside.area(np.concatenate([bottom, (bottom - deep * 0.28 * gap)[::-1]]), _TEETH)
        canvas.keep(inside, opening)
    else:
        canvas.line(np.concatenate([marks[48:49], top, marks[54:55]]), mix(_MOUTH, colour, 0.1), width=0.05)
    if actions.tongue > 0.3 and gap > 0.05:
        paint_tongue(canvas, marks, length=actions.tongue)
    for corner in (marks[48], marks[54]):
        canvas.disc(corner, mix(_MOUTH, colour, 0.35), radius=0.035)


def paint_tongue(canvas: Canvas, marks: np.ndarray, *, length: float) -> None:
    """The tongue out over the lower lip."""
    root, across = (marks[62] + 2 * marks[66]) / 3, (marks[65] - marks[67]) * 0.42
    down = np.array([-across[1], across[0]])
    down = down / max(float(np.linalg.norm(down)), 1e-6) * canvas.pose.scale * (0.12 + 0.26 * length)
    shape = np.stack([root - across, root + across, root + across * 0.95 + down * 0.75, root + down * 1.15, root - across * 0.95 + down * 0.75])
    canvas.area(curve(shape, closed=True), _TONGUE)
    canvas.line(np.stack([root, root + down * 0.7]), mix(_TONGUE, _MOUTH, 0.4), width=0.03)


def paint_hair(canvas: Canvas, person: Person) -> None:
    """Hair on top of the head, down to the hairline."""
    b, style = person.build, person.hair_style
    if style == "bald":
        return
    grow = 1.13 if style != "curly" else 1.16
    side = 0.02 if style in ("long", "curly") else -0.12
    line = space((1.0, side, -0.2), (0.86, -0.55, -0.05), (0.45, -0.88, 0.05), (-0.1, -0.84, 0.05), (-0.6, -0.78, 0), (-0.88, -0.5, -0.05), (-1.0, side, -0.2))
    line = line * (b.width, 1, 1)
    cap = np.concatenate([curve(canvas.flat(skull(b, grow=grow))), curve(canvas.flat(line))])
    canvas.area(cap, person.hair)
    if style == "curly":
        for point in canvas.flat(skull(b, grow=1.12)):
            canvas.disc(point, person.hair, radius=0.22)
    gleam = skull(b, grow=1.0, from_angle=0.5)[4:9]
    canvas.line(curve(canvas.flat(gleam)), mix(person.hair, (255, 255, 255), 0.18), width=0.06)


def paint_glasses(canvas: Canvas, *, dark: bool, marks: np.ndarray) -> None:
    """Glasses on the nose; dark ones hide the eyes."""
    frame: Colour = (38, 34, 40)
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    for side in (-1, 1):
        rim = np.stack([side * 0.45 + 0.33 * np.cos(angle), 0.03 + 0.26 * np.sin(angle), 0.22 - 0.1 * side * np.cos(angle)], axis=1)
        flat = canvas.flat(rim)
        if dark:
            canvas.area(flat, (30, 30, 38))
        canvas.line(np.concatenate([flat, flat[:2]]), frame, width=0.05)
        canvas.line(canvas.flat(space((side * 0.76, -0.03, 0.15), (side * 1.0, -0.06, -0.25))), frame, width=0.05)
    canvas.line(canvas.flat(space((-0.14, 0.0, 0.34), (0.14, 0.0, 0.34))), frame, width=0.05)


def paint_cover(canvas: Canvas, person: Person, cover: str, *, side: int, marks: np.ndarray) -> None:
    """What hides a part of the face."""
    if cover == "sunglasses":
        paint_glasses(canvas, dark=True, marks=marks)
    elif cover == "fringe":
        cut = space((-1.02, -0.1, 0), (-0.7, -0.2, 0.2), (-0.3, -0.14, 0.25), (0.1, -0.18, 0.25), (0.5, -0.13, 0.25), (0.8, -0.2, 0.15), (1.02, -0.1, 0))
        canvas.area(np.concatenate([curve(canvas.flat(cut)), curve(canvas.flat(skull(person.build, grow=1.1)))[::-1]]), person.hair)
    elif cover == "lock":
        lock = space((0.2, -1.15, 0.1), (0.95, -0.9, 0), (1.12, 0.4, 0), (0.9, 1.3, 0.1), (0.62, 0.6, 0.2), (0.16, -0.1, 0.3)) * (side, 1, 1)
        canvas.area(curve(canvas.flat(lock), closed=True), person.hair)
    elif cover == "scarf":
        cloth = space((-1.1, 0.5, 0), (-0.5, 0.68, 0.3), (0.1, 0.62, 0.4), (0.6, 0.7, 0.3), (1.1, 0.5, 0), (1.15, 2.2, 0), (-1.15, 2.2, 0))
        canvas.area(canvas.flat(cloth), mix(person.clothes, (255, 255, 255), 0.15))
        for k in (0.95, 1.25):
            canvas.line(canvas.flat(space((-1.0, k - 0.1, 0.2), (0, k, 0.4), (1.0, k - 0.1, 0.2))), mix(person.clothes, _INK, 0.3), width=0.05)
    elif cover == "hand":
        paint_hand(canvas, person, side=side)


def paint_hand(canvas: Canvas, person: Person, *, side: int) -> None:
    """A hand before the mouth, coming from below."""
    edge = mix(person.skin, (90, 40, 30), 0.35)
    palm = space((0.95, 2.2, 0.5), (0.75, 1.2, 0.6), (0.3, 0.95, 0.6), (-0.1, 1.1, 0.6), (0.0, 2.2, 0.5)) * (side, 1, 1)
    for k in range(4):
        x, y = -0.42 + 0.02 * k, 0.74 + 0.19 * k
        finger = canvas.flat(space((0.55, y + 0.12, 0.6), (x, y, 0.6)) * (side, 1, 1))
        canvas.line(finger, edge, width=0.24)
        canvas.line(finger, mix(person.skin, (255, 255, 255), 0.04), width=0.19)
    canvas.area(curve(canvas.flat(palm), closed=True), mix(person.skin, (90, 40, 30), 0.08))


def paint_background(rng: np.random.Generator) -> Image.Image:
    """A plain, graded or cluttered background, large."""
    side = SIZE * _LARGER
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
            shape((x, y, x + w, y + h), fill=_clip(rng.integers(60, 220) + rng.integers(-50, 51, 3)))
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


COVERS = ("hand", "scarf", "fringe", "sunglasses", "lock")


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
    head = np.asarray(canvas.mask(outline).reduce(_LARGER), dtype=float) / 255
    pixels = np.asarray(canvas.picture.reduce(_LARGER), dtype=float)
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
