"""The faces that a comparison's sides answer most differently. Used by plots.comparison."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from emotion_mlflow.comparison.values import Disagreement
from emotion_mlflow.plots.faces import faces_grid, shortened


def disagreeing_faces(
    faces: Sequence[Disagreement], pictures: Sequence[np.ndarray], *, thumbnails: bool = False
) -> Figure:
    """Each face with its truth and every side's answer below; `pictures`: (S, S, 3) uint8 in the same order."""
    said = ["\n".join(f"{shortened(name, 14)}: {words}" for name, words in face.answers.items()) for face in faces]
    return faces_grid(
        pictures,
        [face.face for face in faces],
        [face.true for face in faces],
        [""] * len(faces),
        notes=[f"{words}\ngap {face.gap:.2f}" for face, words in zip(faces, said, strict=True)],
        title=f"The {len(faces)} faces with the largest disagreement",
        thumbnails=thumbnails,
    )
