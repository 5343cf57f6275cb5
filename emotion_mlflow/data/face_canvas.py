"""A large picture to paint a face on, in small-picture pixels or through a pose in head units. Used by `drawing`.

Everything is painted LARGER times as large and reduced at the end, so edges are smooth.
"""

import numpy as np
from PIL import Image, ImageDraw

from emotion_mlflow.data.face_person import Colour
from emotion_mlflow.data.face_shape import Pose

LARGER = 3


class Canvas:
    """A large picture, and the pose that says where the head is on it."""

    def __init__(self, picture: Image.Image, pose: Pose) -> None:
        self.picture, self.pose = picture, pose
        self.brush = ImageDraw.Draw(picture)

    def flat(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) head units -> (N, 2) pixels of the small picture."""
        return self.pose.project(points)

    def area(self, points: np.ndarray, colour: Colour) -> None:
        """Fills the inside of (N, 2) pixels."""
        self.brush.polygon(_large(points), fill=colour)

    def line(self, points: np.ndarray, colour: Colour, *, width: float) -> None:
        """A line `width` head units wide with round ends."""
        pixels = max(1, round(width * self.pose.scale * LARGER))
        large = _large(points)
        self.brush.line(large, fill=colour, width=pixels, joint="curve" if pixels > 5 else None)
        for x, y in (large[:2], large[-2:]):
            self.brush.ellipse((x - pixels / 2, y - pixels / 2, x + pixels / 2, y + pixels / 2), fill=colour)

    def disc(self, centre: np.ndarray, colour: Colour, *, radius: float) -> None:
        """A disc around (2,) pixels, its radius in head units."""
        (x, y), r = _large(centre), radius * self.pose.scale * LARGER
        self.brush.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def mask(self, points: np.ndarray) -> Image.Image:
        """The inside of (N, 2) pixels as a large picture of 0 and 255."""
        mask = Image.new("L", self.picture.size, 0)
        ImageDraw.Draw(mask).polygon(_large(points), fill=255)
        return mask

    def copy(self) -> "Canvas":
        """A canvas to paint on freely before `keep` takes over a part of it."""
        return Canvas(self.picture.copy(), self.pose)

    def keep(self, other: "Canvas", points: np.ndarray) -> None:
        """Takes over what `other` shows inside (N, 2) pixels."""
        low = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, self.picture.width // LARGER)
        if (high <= low).any():
            return
        box = (LARGER * low[0], LARGER * low[1], LARGER * high[0], LARGER * high[1])
        mask = Image.new("L", (box[2] - box[0], box[3] - box[1]), 0)
        ImageDraw.Draw(mask).polygon(_large(points - low), fill=255)
        self.picture.paste(other.picture.crop(box), box, mask)


def _large(points: np.ndarray) -> list[float]:
    """Small-picture pixels as Pillow's brush takes them; to both the first one spans 0 to 1."""
    flat: list[float] = (points * LARGER).ravel().tolist()
    return flat


def space(*points: tuple[float, float, float]) -> np.ndarray:
    """(N, 3) head units."""
    return np.array(points, dtype=float)


def both(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points and their mirror image."""
    return points, points * (-1, 1, 1)
