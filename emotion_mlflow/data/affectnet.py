"""AffectNet's two forms on disk, the npy folders and the csv lists -> faces to be read. Used by data.read."""

import posixpath
from functools import partial

from emotion_mlflow.data import values
from emotion_mlflow.data.assembly import Answer, Face, Findings, Refusal
from emotion_mlflow.data.folder import Folder
from emotion_mlflow.data.npy import read_label, read_landmarks
from emotion_mlflow.data.tables import read_rows, row_face, suffixes
from emotion_mlflow.errors import DataError

NPY_PARTS = {"train_set": "train", "val_set": "validation"}
CSV_PARTS = {"training.csv": "train", "validation.csv": "validation"}
PICTURES = "Manually_Annotated_Images/"
CSV_HEADER = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height",
    "facial_landmarks", "expression", "valence", "arousal",
)  # fmt: skip
"""The release's validation.csv comes without a header row; this is its order."""

_KINDS = ("exp", "val", "aro", "lnd")
_ID_PREFIX = {"train_set": "train/", "val_set": "val/"}


def csv_findings(folder: Folder, files: tuple[str, ...]) -> Findings:
    """The faces of training.csv, validation.csv or both; their pictures lie under PICTURES or beside."""
    two_parts = len(files) > 1
    faces: list[Face] = []
    refused: list[Refusal] = []
    endings: set[str] = set()
    for file in files:
        rows = read_rows(folder, file, header=CSV_HEADER)
        part = CSV_PARTS.get(file, "") if two_parts else ""
        refused += rows.refused
        endings |= suffixes(rows)
        faces += [
            row_face(rows, row, number=number, file=file, folder=folder, part=part, places=(PICTURES, ""))
            for number, row in rows.rows
        ]
    return Findings(faces=faces, refused=refused, two_parts=two_parts, tables=files, suffixes=frozenset(endings))


def npy_findings(folder: Folder) -> Findings:
    """The faces of train_set/, val_set/ or both, or else of images/ and annotations/."""
    present = [name for name in NPY_PARTS if folder.files(f"{name}/images")]
    two_parts = len(present) > 1
    faces: list[Face] = []
    refused: list[Refusal] = []
    for name in present or [""]:
        prefix = _ID_PREFIX.get(name or folder.root.name, "")
        found, orphans = _npy_part(folder, name, prefix=prefix, part=NPY_PARTS[name] if two_parts else "")
        faces += found
        refused += orphans
    return Findings(faces=faces, refused=refused, two_parts=two_parts, suffixes=frozenset({""}))


def _npy_part(folder: Folder, name: str, *, prefix: str, part: str) -> tuple[list[Face], list[Refusal]]:
    """One folder's faces, in order of name, and the annotations that no picture goes with."""
    images, annotations = posixpath.join(name, "images"), posixpath.join(name, "annotations")
    present: dict[str, set[str]] = {}
    for file in folder.files(annotations):
        stem, _, kind = file.removesuffix(".npy").rpartition("_")
        if file.endswith(".npy") and kind in _KINDS:
            present.setdefault(stem, set()).add(kind)
    given = frozenset().union(*present.values())
    pictures = sorted(file for file in folder.files(images) if not file.startswith("."))
    faces = []
    for picture in pictures:
        stem = posixpath.splitext(picture)[0]
        path, stems = f"{images}/{picture}", f"{annotations}/{stem}"
        missing = tuple(kind for kind in _KINDS if kind in given and kind not in present.get(stem, ()))
        answer = partial(_npy_answer, folder, path, stems, given, missing)
        faces.append(Face(id=prefix + stem, long_id=prefix + stem, file=path, part=part, answer=answer))
    known = {posixpath.splitext(picture)[0] for picture in pictures}
    orphans = [
        Refusal(
            f"{annotations}/{stem}_{min(present[stem])}.npy",
            -1,
            f"expected a picture {stem} in {images}; got none",
        )
        for stem in sorted(present.keys() - known)
    ]
    return faces, orphans


def _npy_answer(folder: Folder, path: str, stem: str, given: frozenset[str], missing: tuple[str, ...]) -> Answer:
    """`given`: the kinds of annotation that this part has at all; others are unlabelled, not missing."""
    if missing or not given:
        raise DataError("an annotation file", got="none there", where=f"{stem}_{(missing or _KINDS)[0]}.npy")

    def place(kind: str) -> str:
        return folder.full(folder.locate(f"{stem}_{kind}.npy"))

    def label(kind: str) -> object:
        return read_label(place(kind)) if kind in given else None

    picture = folder.locate(path)
    labels = values.Labels(
        values.expression(label("exp"), where=f"{stem}_exp.npy"),
        values.affect(label("val"), name="valence", where=f"{stem}_val.npy"),
        values.affect(label("aro"), name="arousal", where=f"{stem}_aro.npy"),
        values.landmarks(read_landmarks(place("lnd")) if "lnd" in given else None, where=f"{stem}_lnd.npy"),
    )
    return Answer(path=picture, crop=None, labels=labels)
