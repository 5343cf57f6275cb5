"""Figures of a comparison: every side on the same axes, each with a text alternative. Used by jobs."""

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure, the words that stand in for it, and the words below it."""

    figure: Figure
    alt: str
    """What it shows, with its main numbers, for who cannot see it."""
    caption: str
