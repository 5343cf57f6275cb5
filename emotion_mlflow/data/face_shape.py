"""Geometry of a drawn face: a person's build and a face's actions -> 68 iBUG points in space -> pixels.

Head units: half the head's width is about 1, the eyes' line is y = 0. x grows to the right of the picture,
y downwards, z towards the viewer. "Left" and "right" name sides of the picture. Used by `drawing`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from emotion_mlflow.data.face_actions import Actions

EYE_SPACING, MOUTH_HEIGHT = 0.45, 0.90
_PIVOT = np.array([0.0, 0.15, -0.25])
_PERSPECTIVE = 0.10


@dataclass(frozen=True, kw_only=True)
class Build:
    """A person's proportions, each a factor around 1; the same on all of their faces."""

    width: float = 1.0
    chin: float = 1.0
    jaw: float = 1.0  # below 1 squarer, above 1 more pointed
    eye_size: float = 1.0
    eye_spacing: float = 1.0
    brow_height: float = 1.0
    brow_arch: float = 1.0
    nose_length: float = 1.0
    nose_width: float = 1.0
    mouth_width: float = 1.0
    lip_fullness: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Pose:
    """How the head is turned (radians) and where it is in the picture (pixels)."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    scale: float = 31.0  # pixels a head unit
    x: float = 48.0
    y: float = 43.5

    @cached_property
    def rotation(self) -> np.ndarray:
        """(3, 3): yaw, then pitch, then roll."""
        (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in (self.yaw, self.pitch, self.roll))
        yaw = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        pitch = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        roll = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        return roll @ pitch @ yaw

    def project(self, points: np.ndarray) -> np.ndarray:
        """(N, 3) head units -> (N, 2) pixels; the first pixel spans 0 to 1."""
        turned = (points - _PIVOT) @ self.rotation.T
        flat = turned[:, :2] * (1 + _PERSPECTIVE * turned[:, 2:])
        return np.array([self.x, self.y]) + self.scale * flat


def _jaw(build: Build, actions: Actions) -> np.ndarray:
    """Points 0 to 16."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, 17)
    side, down = np.sin(angle), np.cos(angle)
    x = build.width * np.sign(side) * np.abs(side) ** (0.82 * build.jaw)
    y = (1.38 * build.chin + 0.36 * max(actions.jaw_drop, 0)) * down**0.9
    return np.stack([x, y, -0.25 + 0.40 * down], axis=1)


def _brow(build: Build, actions: Actions, *, side: int) -> np.ndarray:
    """The five points of one brow, from the nose outwards; side is -1 (left) or 1."""
    t = np.linspace(0, 1, 5)
    lower, skew = actions.brow_lower, side * actions.brow_skew
    y = -0.36 * build.brow_height - 0.10 * build.brow_arch * np.sin(np.pi * (0.15 + 0.7 * t))
    slant = max(actions.brow_inner_up - actions.brow_outer_up, 0)
    y = y - 0.30 * actions.brow_inner_up * (1 - t) ** 1.4 + 0.10 * slant * t
    y = y - 0.27 * actions.brow_outer_up * t**0.8
    y = y + lower * (0.30 * (1 - t) ** 1.2 + 0.03)
    y = y - skew * (0.20 * np.sin(np.pi * (0.25 + 0.6 * t)) if skew > 0 else 0.10)
    x = 0.17 + 0.57 * t - 0.09 * lower * (1 - t)
    return np.stack([side * build.eye_spacing * x, y, 0.22 - 0.22 * t], axis=1)


def _eye(build: Build, actions: Actions, *, side: int) -> np.ndarray:
    """Inner corner, two of the upper lid, outer corner, two of the lower lid (outer first)."""
    half = 0.27 * build.eye_size
    upper = max(0.165 * (1 + 0.75 * actions.lid_raise - 0.15 * actions.lid_tighten), 0.022) * build.eye_size
    lower = max(0.105 * (1 + 0.25 * actions.lid_raise - 0.75 * actions.lid_tighten), 0.012) * build.eye_size
    droop = 0.05 * max(actions.brow_inner_up - actions.brow_outer_up, 0)
    x = half * np.array([-1.0, -0.38, 0.38, 1.0, 0.38, -0.38])
    y = np.array([0.015, -upper, -upper + droop, -0.01 + droop, lower, lower])
    z = np.array([0.12, 0.17, 0.12, 0.02, 0.12, 0.15])
    return np.stack([side * (EYE_SPACING * build.eye_spacing + x), y, z], axis=1)


def _nose(build: Build, actions: Actions) -> np.ndarray:
    """Points 27 to 35."""
    wrinkle, tip = actions.nose_wrinkle, 0.48 * build.nose_length
    t = np.linspace(0, 1, 4)
    bridge = np.stack([0 * t, -0.03 + (tip - 0.07 * wrinkle + 0.03) * t, 0.20 + 0.38 * t**1.3], axis=1)
    spread = np.linspace(-1, 1, 5)
    base_x = 0.20 * build.nose_width * (1 + 0.18 * wrinkle) * spread
    base_y = tip + 0.13 - 0.05 * np.abs(spread) - wrinkle * (0.05 + 0.05 * np.abs(spread))
    base = np.stack([base_x, base_y, 0.42 - 0.14 * np.abs(spread)], axis=1)
    return np.concatenate([bridge, base])


_OUTER = np.array([-1, -0.62, -0.24, 0, 0.24, 0.62, 1, 0.62, 0.24, 0, -0.24, -0.62])
_INNER = np.array([-0.86, -0.42, 0, 0.42, 0.86, 0.42, 0, -0.42])
_CUPID = np.array([0, 0.75, 1.05, 0.85, 1.05, 0.75, 0])


def _mouth(build: Build, actions: Actions) -> np.ndarray:
    """Points 48 to 67: twelve around the lips, eight around the opening."""
    smile, smirk, opened = actions.corner_up, actions.smirk, max(actions.jaw_drop, 0)
    half = 0.46 * build.mouth_width * (1 + 0.30 * actions.stretch + 0.22 * max(smile, 0))
    left, right = smile + 1.15 * max(-smirk, 0), smile + 1.15 * max(smirk, 0)

    def line(s: np.ndarray) -> np.ndarray:
        corner = np.where(s < 0, left, right)
        return MOUTH_HEIGHT + 0.03 * smile - 0.30 * corner * np.abs(s) ** 1.7 + 0.03 * abs(smirk) * (1 - np.abs(s))

    def swell(s: np.ndarray) -> np.ndarray:
        return np.maximum(1 - np.abs(s) ** 2, 0) ** (0.65 - 0.42 * actions.squareness)

    def upper(s: np.ndarray) -> np.ndarray:
        raised = 0.17 * actions.lip_raise * (1 - np.abs(s) ** 3)
        return line(s) - raised - (0.14 + 0.06 * actions.squareness) * opened * swell(s)

    def lower(s: np.ndarray) -> np.ndarray:
        shown = 0.05 * max(actions.lip_raise, 0) * (1 - np.abs(s) ** 2)
        return line(s) - 0.6 * shown + 0.46 * opened * swell(s)

    thick = build.lip_fullness * (1 - 0.65 * actions.press)
    inner = _INNER / 0.86
    y = np.concatenate([
        upper(_OUTER[:7]) - 0.085 * thick * _CUPID,
        lower(_OUTER[7:]) + 0.12 * thick * np.array([0.8, 1.05, 1.1, 1.05, 0.8]),
        upper(inner[:5]),
        lower(inner[5:]),
    ])  # fmt: skip
    spread = np.concatenate([_OUTER, _INNER])
    shift = 0.07 * smirk
    return np.stack([half * spread + shift, y, 0.34 - 0.22 * spread**2], axis=1)


def face_points(build: Build, actions: Actions) -> np.ndarray:
    """(68, 3) head units, in iBUG order: jaw, brows, nose, eyes, mouth; the picture's left first."""
    left_eye, right_eye = _eye(build, actions, side=-1), _eye(build, actions, side=1)
    return np.concatenate([
        _jaw(build, actions),
        _brow(build, actions, side=-1)[::-1],
        _brow(build, actions, side=1),
        _nose(build, actions),
        left_eye[[3, 2, 1, 0, 5, 4]],
        right_eye,
        _mouth(build, actions),
    ])  # fmt: skip


def skull(build: Build, *, grow: float = 1.0, from_angle: float = 0.0) -> np.ndarray:
    """(15, 3) the head's upper outline from left to right over the top; `grow` puts it outside the skin, as hair is."""
    angle = np.linspace(from_angle, np.pi - from_angle, 15)
    x, y = -build.width * grow * np.cos(angle), -1.18 * grow * np.sin(angle) ** 0.85
    return np.stack([x, y, np.full(15, -0.25)], axis=1)


_STEPS = 6
_T = np.arange(_STEPS) / _STEPS
_BLEND = 0.5 * np.stack(
    [-_T + 2 * _T**2 - _T**3, 2 - 5 * _T**2 + 3 * _T**3, _T + 4 * _T**2 - 3 * _T**3, _T**3 - _T**2], axis=1
)


def curve(points: np.ndarray, *, closed: bool = False) -> np.ndarray:
    """(M, 2) a smooth line exactly through (N, 2) points (Catmull & Rom 1974)."""
    ends = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    padded = np.concatenate([ends[0], points, ends[1]])
    windows = padded[np.arange(len(padded) - 3)[:, None] + np.arange(4)]
    line = (_BLEND @ windows).reshape(-1, 2)
    return line if closed else np.concatenate([line, points[-1:]])
