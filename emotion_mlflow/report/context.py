"""What the HTML and the Markdown templates are filled with. Used by report only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from emotion_mlflow.comparison.values import Comparison
from emotion_mlflow.report import outline, wording

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True, kw_only=True)
class Image:
    """A figure as the files hold it."""

    name: str
    """Of its file, without `.png`."""
    alt: str
    caption: str
    png: bytes


def environment(*, autoescape: bool) -> "Environment":
    """Templates of this package; a name that the context lacks is an error, not an empty place."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    loader = PackageLoader("emotion_mlflow.report")
    # False for Markdown only, whose template passes every text through the filter `md`.
    return Environment(loader=loader, autoescape=autoescape, undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701


def context(comparison: Comparison, images: Sequence[Image]) -> dict[str, Any]:
    """The same words for both templates."""
    primary = outline.primary_block(comparison)
    return {
        "comparison": comparison,
        "names": tuple(map(wording.plain, comparison.names)),
        "subject": wording.subject(comparison),
        "verdict": wording.verdict(comparison),
        "scope": wording.scope(comparison),
        "no_winner_note": wording.NO_WINNER_NOTE,
        "bounds_note": wording.BOUNDS_NOTE,
        "method": wording.method(comparison),
        "facts": outline.facts(comparison),
        "settings": outline.settings(comparison),
        "primary": primary,
        "all_decided": all(line.decided for line in primary.lines),
        "blocks": outline.blocks(comparison),
        "pictures": images,
    }
