"""A comparison as GitHub-flavoured Markdown. Used by report.files."""

import re
from collections.abc import Sequence

from emotion_mlflow.comparison.values import Comparison
from emotion_mlflow.report import wording
from emotion_mlflow.report.context import Image, context, environment
from emotion_mlflow.report.outline import Shown


def render_markdown(comparison: Comparison, images: Sequence[Image]) -> str:
    """The whole report; figures are named as files in `figures/`."""
    templates = environment(autoescape=False)
    templates.filters |= {"md": escaped, "code": _in_code, "figure": _figure}
    return templates.get_template("report.md.j2").render(context(comparison, images))


def escaped(text: object) -> str:
    """One line in which no letter of the data is read as Markdown, HTML, a formula or a table's border."""
    words = wording.plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    words = re.sub(r"([\\`*\[\]|~$])", r"\\\1", words)
    words = re.sub(r"(?<![0-9A-Za-z])_|_(?![0-9A-Za-z])", r"\\_", words)
    words = re.sub(r"^(\d+)([.)])(?=\s)", r"\1\\\2", words)
    return re.sub(r"^([#+-]+\s)", r"\\\1", words)


def _in_code(text: object) -> str:
    """Between backticks nothing needs an escape but the backtick, and nothing can have one."""
    return wording.plain(text).replace("`", "'")


def _figure(shown: Shown) -> str:
    words = escaped(shown.text)
    words = f"**{words}**" if shown.best else words
    return f"{words} {shown.bounds}" if shown.bounds else words
