"""A set of faces on disk, in any of three forms -> its manifest. Used by the job, evaluate, data check."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from emotion_mlflow.data import manifest_cache
from emotion_mlflow.data.affectnet import CSV_PARTS, NPY_PARTS, csv_findings, npy_findings
from emotion_mlflow.data.assembly import Findings, assemble, require_text
from emotion_mlflow.data.folder import Folder, Watch
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.tables import TABLE_SUFFIXES, header_of, table_findings
from emotion_mlflow.errors import DataError

FORMATS = ("affectnet-npy", "affectnet-csv", "table")
_FORMS = (
    "a folder with train_set/ or val_set/ or images/ and annotations/ (affectnet-npy), "
    "a folder with training.csv or validation.csv (affectnet-csv), or a .csv or .parquet file (table)"
)


def recognise(path: Path | str) -> str:
    """Which of FORMATS lies at `path`. DataError, which names them all, where none does."""
    path = Path(path)
    if path.is_dir():
        if any((path / part / "images").is_dir() for part in NPY_PARTS):
            return "affectnet-npy"
        if (path / "images").is_dir() and (path / "annotations").is_dir():
            return "affectnet-npy"
        if any((path / name).is_file() for name in CSV_PARTS):
            return "affectnet-csv"
        raise DataError(_FORMS, got="a folder with none of them", where=path)
    if path.is_file() and path.suffix.lower() in TABLE_SUFFIXES:
        return "affectnet-csv" if _is_affectnet_list(path) else "table"
    raise DataError(_FORMS, got="another file" if path.exists() else "nothing there", where=path)


def read(
    path: Path | str,
    *,
    data_format: str = "auto",
    cache_dir: Path | None,
    fresh: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Manifest:
    """The set at `path`, its faces in the order the set gives, `split` not cut yet.

    The manifest is kept under `cache_dir` (None: nowhere) and taken from there while name, size and time of
    every file are the same; `fresh` reads all bytes again. `progress` is told faces done and faces in all.
    DataError: no such form, an unreadable table, or not one readable face. A face at fault goes to
    `rejected`.
    """
    path = Path(path)
    require_text(str(path.absolute()))
    form = _form(path, data_format)
    root = path.resolve() if path.is_dir() else path.resolve().parent
    kept = None if cache_dir is None else cache_dir / "manifests" / f"{_key(path, form)}.parquet"
    if kept is not None and not fresh:
        manifest = manifest_cache.load(kept, Folder(root))
        if manifest is not None:
            return manifest
    folder = Folder(root)
    findings = _findings(path, form, folder)
    name = path.resolve().name if path.is_dir() else path.stem
    manifest = assemble(findings, folder, name=name, progress=progress)
    if kept is not None:
        watch = Watch(directories=folder.directories, suffixes=tuple(sorted(findings.suffixes)), tables=findings.tables)
        manifest_cache.save(kept, manifest, folder, watch)
    return manifest


def _form(path: Path, data_format: str) -> str:
    if data_format == "auto":
        return recognise(path)
    if data_format not in FORMATS:
        raise DataError("a data format auto, " + ", ".join(FORMATS), got=data_format)
    if not path.exists():
        raise DataError(_FORMS, got="nothing there", where=path)
    if data_format == "table" and not (path.is_file() and path.suffix.lower() in TABLE_SUFFIXES):
        raise DataError("a .csv or .parquet file (table)", got="something else", where=path)
    if data_format == "affectnet-npy" and not path.is_dir():
        raise DataError("a folder (affectnet-npy)", got="a file", where=path)
    return data_format


def _findings(path: Path, form: str, folder: Folder) -> Findings:
    if form == "affectnet-npy":
        return npy_findings(folder)
    if form == "table":
        return table_findings(folder, path.resolve().name)
    files = tuple(name for name in CSV_PARTS if name in folder.files("")) if path.is_dir() else (path.resolve().name,)
    if not files:
        raise DataError("training.csv or validation.csv", got="neither", where=path)
    return csv_findings(folder, files)


def _is_affectnet_list(path: Path) -> bool:
    return path.name in CSV_PARTS or "subDirectory_filePath" in header_of(path)


def _key(path: Path, form: str) -> str:
    return hashlib.sha256(f"{form}|{path.resolve()}".encode()).hexdigest()[:32]
