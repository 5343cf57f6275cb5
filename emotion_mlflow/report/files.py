"""A comparison's files: page, Markdown, JSON, CSV, figures. Written whole or not at all. Used by jobs."""

import csv
import io
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emotion_mlflow.comparison.values import Comparison, Row
from emotion_mlflow.errors import DataError, first_line
from emotion_mlflow.report.context import Image
from emotion_mlflow.report.markdown import render_markdown
from emotion_mlflow.report.page import render_page

if TYPE_CHECKING:
    from emotion_mlflow.plots.comparison import Picture

PAGE, MARKDOWN, JSON, TABLE, FIGURES = "report.html", "report.md", "comparison.json", "table.csv", "figures"
SCHEMA = Path(__file__).with_name("comparison.schema.json")
"""JSON Schema (2020-12) of `comparison.json`."""


def write_report(folder: Path, comparison: Comparison, figures: Mapping[str, "Picture"], *, ui: str = "") -> list[Path]:
    """Write `report.html`, `report.md`, `comparison.json`, `table.csv` and `figures/*.png`; the paths, in this order.

    A report that lies in `folder` is replaced; DataError where anything else lies there.
    DataError where it cannot be written. `ui`: address of MLflow's pages, for links to versions.
    """
    place = folder.resolve()
    _require_own(place)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{place.name}-") as made:
            written = _write(Path(made) / "new", comparison, figures, ui)
            if place.exists():
                place.rename(Path(made) / "old")
            (Path(made) / "new").rename(place)
    except OSError as error:
        raise _unwritable(error, folder) from None
    return [folder / name for name in written]


def require_folder(folder: Path) -> None:
    """DataError where `write_report` could not write there: known before anything is asked or tested."""
    place = folder.resolve()
    try:
        _require_own(place)
        there = next(one for one in place.parents if one.exists())
        with tempfile.TemporaryDirectory(dir=there, prefix=".emotion-mlflow-"):
            pass
    except OSError as error:
        raise _unwritable(error, folder) from None


def to_json(comparison: Comparison) -> str:
    """`comparison.json`; what is not defined is null."""
    from emotion_mlflow.tracking.registry import jsonable

    return json.dumps(jsonable(comparison.to_dict()), allow_nan=False, indent=1, ensure_ascii=False) + "\n"


def to_csv(comparison: Comparison) -> str:
    """`table.csv`: a line a row, figures unrounded."""
    backbones = list(dict.fromkeys(name for row in comparison.rows for name in row.published))
    lines = [_csv_line(row, comparison.names, backbones) for row in comparison.rows]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_harmless(name) for name in _csv_heads(comparison.names, backbones)])
    writer.writerows([[_harmless(value) for value in line] for line in lines])
    return text.getvalue()


def _write(folder: Path, comparison: Comparison, figures: Mapping[str, "Picture"], ui: str) -> list[str]:
    folder.mkdir()
    images = _save_figures(folder / FIGURES, figures)
    texts = {
        PAGE: render_page(comparison, images, ui=ui),
        MARKDOWN: render_markdown(comparison, images),
        JSON: to_json(comparison),
        TABLE: to_csv(comparison),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [*texts, *(f"{FIGURES}/{image.name}.png" for image in images)]


def _save_figures(folder: Path, figures: Mapping[str, "Picture"]) -> list[Image]:
    if not figures:
        return []
    from emotion_mlflow.plots import save_all

    paths = save_all(folder, {name: picture.figure for name, picture in figures.items()})
    return [
        Image(name=path.stem, alt=picture.alt, caption=picture.caption, png=path.read_bytes())
        for path, picture in zip(paths, figures.values(), strict=True)
    ]


def _unwritable(error: OSError, folder: Path) -> DataError:
    return DataError(
        "a folder that the report can be written to", got=error.strerror or first_line(error), where=folder
    )


def _require_own(folder: Path) -> None:
    if Path.cwd().is_relative_to(folder):
        raise DataError("a folder of its own for the report", got="the working directory", where=folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError("a folder for the report", got="a file", where=folder)
    foreign = sorted({path.name for path in folder.iterdir()} - {PAGE, MARKDOWN, JSON, TABLE, FIGURES})
    if foreign:
        raise DataError("a new folder, or one with an earlier report only", got=f"{foreign[0]} in it", where=folder)


def _csv_heads(names: tuple[str, ...], backbones: list[str]) -> list[str]:
    heads = ["section", "split", "task", "metric", "label", "better", "primary"]
    heads += [f"{name}{part}" for name in names for part in ("", " low", " high")]
    heads += ["first", "second", "difference", "low", "high", "p", "p_corrected", "winner"]
    return heads + [f"published {name} (other data)" for name in backbones]


def _csv_line(row: Row, names: tuple[str, ...], backbones: list[str]) -> list[Any]:
    cells = [row.values.get(name) for name in names]
    figures = [part for cell in cells for part in ((cell.value, cell.low, cell.high) if cell else (None,) * 3)]
    described = [row.section, row.split, row.task, row.metric, row.label, row.better, str(row.primary).lower()]
    tested = [*(row.between or ("", "")), row.difference, row.low, row.high, row.p, row.p_corrected, row.winner]
    return [*described, *figures, *tested, *(row.published.get(name) for name in backbones)]


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
