"""Worst and best faces: which, and how to show them: pictures, thumbnails, ids alone. For plots and evaluate.

Pictures of people leave the machine only by choice (`--show-faces`), so this module reads no file:
who calls it loads what `rows_to_load` names, reduces it where thumbnails are asked for, or gives none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emotion_mlflow.errors import DataError
from emotion_mlflow.labels import EXPRESSIONS, PIXEL_CENTRE, LandmarkLayout
from emotion_mlflow.metrics.suite import Answers
from emotion_mlflow.plots.style import GRID, INK, SMALL, SOFT, TRAIN, UNDEFINED, VAL, canvas, number

COLUMNS = 4
THUMBNAIL_SIDE = 64
"""Pixels; the largest picture that counts as a thumbnail."""
LONGEST_ID = 20
MEASURES = {"expression": "p(true class)", "affect": "distance", "landmarks": "NME"}


@dataclass(frozen=True, kw_only=True)
class FacesToShow:
    """What may be shown of the faces behind N answers."""

    ids: Sequence[str]
    """(N,), every face's id."""
    pictures: Mapping[int, np.ndarray] | None
    """Row in the answers -> (S, S, 3) uint8, for `rows_to_load`; None: ids and labels only."""
    sizes: np.ndarray | None = None
    """(N, 2) width and height, pixels, of the pictures that the landmarks are in; None: as `pictures`."""
    thumbnails: bool = False
    """The pictures are reduced: one above THUMBNAIL_SIDE is refused."""


@dataclass(frozen=True)
class FaceChoice:
    """Faces with the largest (`worst`) or smallest (`best`) fault of one task, in that order."""

    task: str
    kind: str
    rows: tuple[int, ...]


def face_faults(answers: Answers, *, layout: LandmarkLayout | None) -> dict[str, np.ndarray]:
    """For each task with answers and labels, (N,) faults, larger is worse, NaN without a label.

    `expression`: 1 - probability of the true class; `affect`: distance in the valence-arousal plane (of one
    dimension where there is one only); `landmarks`: NME.
    """
    faults: dict[str, np.ndarray] = {}
    if answers.probabilities is not None:
        given = answers.probabilities[np.arange(len(answers.expression_true)), np.maximum(answers.expression_true, 0)]
        faults["expression"] = np.where(answers.expression_true >= 0, 1 - given, np.nan)
    pairs = [(answers.valence_true, answers.valence), (answers.arousal_true, answers.arousal)]
    squares = [(true - answer) ** 2 for true, answer in pairs if answer is not None]
    if squares:
        faults["affect"] = np.sqrt(np.sum(squares, axis=0))
    if answers.landmarks is not None:
        faults["landmarks"] = answers.face_errors(layout)
    return {task: fault for task, fault in faults.items() if np.isfinite(fault).any()}


def choose_faces(answers: Answers, *, layout: LandmarkLayout | None, count: int = 8) -> tuple[FaceChoice, ...]:
    """The `count` worst and best faces of each task; with few faces each is in one of the two only."""
    choices = []
    for task, fault in face_faults(answers, layout=layout).items():
        order = np.argsort(fault, kind="stable")[: np.isfinite(fault).sum()]
        worst = order[::-1][: min(count, (len(order) + 1) // 2)]
        best = order[: min(count, len(order) - len(worst))]
        kinds = (("worst", worst), ("best", best))
        choices += [FaceChoice(task, kind, tuple(rows.tolist())) for kind, rows in kinds if len(rows)]
    return tuple(choices)


def rows_to_load(answers: Answers, *, layout: LandmarkLayout | None, count: int = 8) -> list[int]:
    """Rows whose pictures `face_figures` wants, ascending, each once."""
    choices = choose_faces(answers, layout=layout, count=count)
    return sorted({row for choice in choices for row in choice.rows})


def face_figures(
    answers: Answers, faces: FacesToShow, *, layout: LandmarkLayout | None, count: int = 8
) -> dict[str, Figure]:
    """`worst_faces_expression`, `best_faces_landmarks`, ...: one figure a task and kind."""
    faults = face_faults(answers, layout=layout)
    made = {}
    for choice in choose_faces(answers, layout=layout, count=count):
        made[f"{choice.kind}_faces_{choice.task}"] = _figure(choice, answers, faces, faults[choice.task])
    return made


def faces_grid(
    pictures: Sequence[np.ndarray] | np.ndarray | None,
    ids: Sequence[str],
    truths: Sequence[str],
    predictions: Sequence[str],
    *,
    notes: Sequence[str],
    title: str,
    landmarks_true: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
    thumbnails: bool = False,
) -> Figure:
    """M faces with id, truth, answer and note below each; a table of the same words where `pictures` is None.

    `pictures`: (M, S, S, 3) uint8; landmarks: (M, 2K) pixels of these pictures. DataError: a picture
    larger than THUMBNAIL_SIDE where thumbnails are promised.
    """
    if pictures is None:
        return _table(ids, truths, predictions, notes, title=title)
    if thumbnails and max(max(picture.shape[:2]) for picture in pictures) > THUMBNAIL_SIDE:
        largest = max(max(picture.shape[:2]) for picture in pictures)
        raise DataError(f"thumbnails of at most {THUMBNAIL_SIDE} pixels", got=largest, where=title)
    rows = -(-len(ids) // COLUMNS)
    notices = ["blue circles: truth, orange crosses: answer"] if landmarks is not None else []
    key = "; ".join(notices + (["reduced pictures"] if thumbnails else []))
    lines = max(len(_words(*face).splitlines()) for face in zip(ids, truths, predictions, notes, strict=True))
    figure = canvas(title, note=key, height=0.6 + bool(key) * 0.2 + (2.1 + 0.175 * lines) * rows)
    for place, picture in enumerate(pictures):
        axes = figure.add_subplot(rows, COLUMNS, place + 1)
        axes.imshow(picture, interpolation="nearest")
        _points(axes, landmarks_true, landmarks, place)
        _caption(axes, picture, _words(ids[place], truths[place], predictions[place], notes[place]))
    return figure


def shortened(identifier: str, longest: int = LONGEST_ID) -> str:
    """An id that fits below a picture: its end, which differs most; letters the font lacks are escaped."""
    plain = "".join(
        c if c.isprintable() and ord(c) < 0x250 else c.encode("unicode_escape").decode() for c in identifier
    )
    return plain if len(plain) <= longest else "…" + plain[1 - longest :]


def _words(identifier: str, truth: str, answer: str, note: str) -> str:
    lines = (shortened(identifier), truth and f"true: {truth}", answer and f"answer: {answer}", note)
    return "\n".join(line for line in lines if line)


def _figure(choice: FaceChoice, answers: Answers, faces: FacesToShow, fault: np.ndarray) -> Figure:
    rows = list(choice.rows)
    value = 1 - fault[rows] if choice.task == "expression" else fault[rows]
    measure = MEASURES[choice.task]
    total = int(np.isfinite(fault).sum())
    extreme = (
        {"worst": "lowest", "best": "highest"}
        if choice.task == "expression"
        else {"worst": "largest", "best": "smallest"}
    )
    title = f"{choice.kind.capitalize()} faces, {choice.task}: {extreme[choice.kind]} {measure} of {total:,}"
    drawn = choice.task == "landmarks" and faces.pictures is not None
    pictures = None if faces.pictures is None else [faces.pictures[row] for row in rows]
    return faces_grid(
        pictures,
        [faces.ids[row] for row in rows],
        _truths(choice.task, answers, rows),
        _said(choice.task, answers, rows),
        notes=[f"{measure} {number(float(one))}" for one in value],
        title=title,
        thumbnails=faces.thumbnails,
        landmarks_true=_in_picture(answers.landmarks_true, rows, faces) if drawn else None,
        landmarks=_in_picture(answers.landmarks, rows, faces) if drawn else None,
    )


def _truths(task: str, answers: Answers, rows: list[int]) -> list[str]:
    if task == "expression":
        return [EXPRESSIONS[answers.expression_true[row]] for row in rows]
    if task == "affect":
        return [_affect(answers.valence_true, answers.arousal_true, row) for row in rows]
    return [""] * len(rows)


def _said(task: str, answers: Answers, rows: list[int]) -> list[str]:
    if task == "expression" and answers.probabilities is not None:
        top = answers.probabilities[rows].argmax(axis=1)
        return [
            f"{EXPRESSIONS[label]} {answers.probabilities[row, label]:.2f}"
            for row, label in zip(rows, top, strict=True)
        ]
    if task == "affect":
        return [_affect(answers.valence, answers.arousal, row) for row in rows]
    return [""] * len(rows)


def _affect(valence: np.ndarray | None, arousal: np.ndarray | None, row: int) -> str:
    # + 0.0 turns a rounded -0.0 into 0.0
    parts = [
        f"{letter} {round(float(values[row]), 2) + 0.0:+.2f}"
        for letter, values in (("v", valence), ("a", arousal))
        if values is not None and np.isfinite(values[row])
    ]
    return ", ".join(parts) or UNDEFINED


def _in_picture(landmarks: np.ndarray | None, rows: list[int], faces: FacesToShow) -> np.ndarray | None:
    """Landmarks of `rows`, moved from the pixels of the face picture to those of the picture shown."""
    if landmarks is None or faces.pictures is None or faces.sizes is None:
        return None if landmarks is None else landmarks[rows]
    shown = np.array([faces.pictures[row].shape[1::-1] for row in rows], dtype=float)
    scale = shown / faces.sizes[rows]
    points = landmarks[rows].reshape(len(rows), -1, 2)
    moved: np.ndarray = (points + PIXEL_CENTRE) * scale[:, None, :] - PIXEL_CENTRE
    return moved.reshape(len(rows), -1)


def _points(axes: Axes, true: np.ndarray | None, answer: np.ndarray | None, place: int) -> None:
    """Truth: white circles with a blue edge; answer: orange crosses, edged in white to be seen in grey."""
    look: dict[str, Any]
    if true is not None:
        look = {"color": TRAIN, "markersize": 3.5, "markerfacecolor": "white", "markeredgewidth": 1.0}
        axes.plot(true[place, 0::2], true[place, 1::2], "o", **look)
    if answer is not None:
        for colour, size, width in (("white", 4.4, 2.2), (VAL, 3.8, 1.2)):
            look = {"color": colour, "markersize": size, "markeredgewidth": width}
            axes.plot(answer[place, 0::2], answer[place, 1::2], "x", **look)


def _caption(axes: Axes, picture: np.ndarray, words: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_anchor("N")  # else the row's spare height pushes the caption over the border
    # Landmarks may lie outside the picture (FACTS: 1.5 % of AffectNet's points), which must not shrink it.
    axes.set_xlim(-0.5, picture.shape[1] - 0.5)
    axes.set_ylim(picture.shape[0] - 0.5, -0.5)
    axes.set_xlabel(words, fontsize=SMALL, color=INK, parse_math=False, loc="left")
    for spine in axes.spines.values():
        spine.set_color(GRID)


def _table(
    ids: Sequence[str], truths: Sequence[str], predictions: Sequence[str], notes: Sequence[str], *, title: str
) -> Figure:
    """The faces as lines of words, for a store that may not hold people's pictures."""
    figure = canvas(title, note="no pictures: --show-faces none", height=0.9 + 0.34 * (len(ids) + 1))
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(0, 1)
    axes.set_ylim(len(ids) + 0.5, -0.6)
    lines = [("id", "truth", "answer", "measure")]
    short = [shortened(name, 34) for name in ids]
    lines += list(zip(short, truths, predictions, notes, strict=True))
    columns = [column for column in zip((0.0, 0.38, 0.56, 0.76), *lines, strict=True) if any(column[2:])]
    for left, *words in columns:
        for height, word in enumerate(words):
            weight = "normal" if height else "bold"
            axes.text(
                left,
                height,
                word,
                fontsize=SMALL,
                color=INK,
                fontweight=weight,
                va="center",
                parse_math=False,
            )
    for height in range(len(lines)):
        axes.axhline(height + 0.5, color=GRID if height else SOFT, linewidth=1)
    return figure
