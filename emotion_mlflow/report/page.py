"""A comparison as one self-contained HTML page that reaches for nothing outside itself. Used by report.files."""

import base64
import hashlib
import struct
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from emotion_mlflow.comparison.values import Comparison
from emotion_mlflow.report import wording
from emotion_mlflow.report.context import Image, context, environment
from emotion_mlflow.report.outline import Block, Line

BAR_MIDDLE, BAR_REACH = 72.0, 64.0
"""Of the small interval bars, in the units of their viewBox (144 wide)."""


def render_page(comparison: Comparison, images: Sequence[Image], *, ui: str = "") -> str:
    """The page; `ui`: address of MLflow's pages, which versions then link to (http or https, else no links)."""
    from markupsafe import Markup

    templates = environment(autoescape=True)
    templates.filters |= {"plain": wording.plain, "bar": bar}
    style, script = (templates.get_template(name).render() for name in ("page.css", "page.js"))
    told = context(comparison, [])
    told |= {
        # Ours, and their digests are in the policy: a script that data smuggled in would not be run.
        "style": Markup(style),  # noqa: S704
        "script": Markup(script),  # noqa: S704
        "style_hash": _digest(style),
        "script_hash": _digest(script),
        "contents": _contents(comparison, with_figures=bool(images)),
        "pictures": [_picture(image) for image in images],
        "links": _links(comparison, ui),
        "forest": _forest(told["primary"]),
    }
    return templates.get_template("report.html.j2").render(told)


def bar(line: Line) -> tuple[float, float, float] | None:
    """Ends and middle of a line's interval, its own longest reach filling half the bar; right: the first is better."""
    if line.interval is None:
        return None
    reach = max(abs(end) for end in line.interval)
    low, middle, high = (round(BAR_MIDDLE + BAR_REACH * end / (reach or 1.0), 1) for end in line.interval)
    return low, middle, high


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _contents(comparison: Comparison, *, with_figures: bool) -> list[tuple[str, str]]:
    parts = (
        ("verdict", "Verdict", True),
        ("warnings", "Warnings", comparison.warnings),
        ("compared", "What is compared", True),
        ("primary", "Primary rows", any(row.primary for row in comparison.rows)),
        ("all", "All results", True),
        ("figures", "Figures", with_figures),
        ("diagnosis", "Diagnosis", comparison.diagnosis),
        ("recommendations", "Recommendations", comparison.recommendations),
        ("method", "How it was tested", True),
        ("disagreements", "Largest disagreement", comparison.disagreements),
    )
    return [(name, title) for name, title, there in parts if there]


def _picture(image: Image) -> dict[str, Any]:
    width, height = struct.unpack(">II", image.png[16:24])  # PNG's first chunk
    data = base64.b64encode(image.png).decode()
    return {"alt": image.alt, "caption": image.caption, "data": data, "width": width, "height": height}


def _links(comparison: Comparison, ui: str) -> list[list[tuple[str, str]]]:
    """For each side (text, address) of its versions; empty without an address to link to."""
    if not ui.startswith(("http://", "https://")):
        return [[] for _ in comparison.sides]
    return [[(wording.plain(name), _address(ui, name)) for name in side.versions] for side in comparison.sides]


def _address(ui: str, version: str) -> str:
    """MLflow's page of `emotion/3`, or of the run of `runs:/<id>`."""
    if version.startswith("runs:/"):
        return f"{ui.rstrip('/')}/#/runs/{quote(version.removeprefix('runs:/').partition('/')[0], safe='')}"
    name, _, number = version.rpartition("/")
    return f"{ui.rstrip('/')}/#/models/{quote(name, safe='')}/versions/{quote(number, safe='')}"


def _forest(primary: Block) -> tuple[str, ...]:
    """The two names that every bar is between, the one that is right of the middle first; none where rows differ."""
    return tuple(primary.pair.split(" − ")) if primary.pair.count(" − ") == 1 else ()
