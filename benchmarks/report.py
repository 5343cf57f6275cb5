"""results.json, where figures stay until they are measured again, and docs/PERFORMANCE.md, which is made from it."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.figures import ROOT, Figure

RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "PERFORMANCE.md"
PACKAGES = ("tensorflow", "keras", "mlflow", "numpy")
UNITS = {"ratio": "", "s": " s", "requests": ""}


def machine() -> str:
    """Processor, cores, memory, system and packages, in one line without a name or a path."""
    import psutil

    packages = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def keep(part: str, figures: Sequence[Figure], stamp: Mapping[str, Any]) -> None:
    """Writes a part's figures over those of the same name."""
    entries = {(entry["part"], entry["name"]): entry for entry in _read()}
    for figure in figures:
        entries[part, figure.name] = {"part": part, **asdict(figure), **stamp}
    RESULTS.write_text(json.dumps(list(entries.values()), indent=1) + "\n")


def render(order: Mapping[str, str]) -> None:
    """Writes the page. order: part -> what its module says of how it measures."""
    entries = _read()
    lines = [
        "# Speed",
        "",
        "Made by `make bench` (`python -m benchmarks`); do not edit. Both sides of a ratio are measured in one run, in",
        "turns; given is the median of the repeats, with the smallest and the largest. No test depends on these times.",
        "",
    ]
    machines = sorted({entry["machine"] for entry in entries})
    lines += [
        f"Machine{'' if len(machines) == 1 else f' {number}'}: {text}." for number, text in enumerate(machines, 1)
    ]
    for part, how in order.items():
        lines += [
            "",
            f"## {part}",
            "",
            how,
            "",
            *_table([entry for entry in entries if entry["part"] == part], machines),
        ]
    PAGE.write_text("\n".join(lines) + "\n")


def line(figure: Figure) -> str:
    """One figure for the terminal."""
    unit = UNITS[figure.unit]
    return (
        f"{figure.name}: {_number(figure.value)}{unit} ({_number(figure.low)} to {_number(figure.high)}), "
        f"at most {figure.target:g}{unit}: {verdict(asdict(figure))}"
        f"\n  {'; '.join(filter(None, (figure.ours, figure.against, figure.note)))}"
    )


def verdict(entry: Mapping[str, Any]) -> str:
    """`reached`, `goal reached` or `not reached`."""
    if entry["value"] > entry["target"]:
        return "not reached"
    return "goal reached" if entry["goal"] and entry["value"] <= entry["goal"] else "reached"


def _table(entries: Sequence[Mapping[str, Any]], machines: Sequence[str]) -> list[str]:
    if not entries:
        return ["Not measured yet."]
    lines = [
        "| what | median (min to max) | repeats | at most | | both sides, medians | measured |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        unit = UNITS[entry["unit"]]
        value = f"{_number(entry['value'])}{unit} ({_number(entry['low'])} to {_number(entry['high'])})"
        target = f"{entry['target']:g}{unit}" + (f", goal {entry['goal']:g}" if entry["goal"] else "")
        sides = "; ".join(filter(None, (entry["ours"], entry["against"], entry["note"])))
        where = "" if len(machines) == 1 else f", machine {machines.index(entry['machine']) + 1}"
        measured = f"{entry['date']}, `{entry['command']}`, load {entry['load']:.1f} before{where}"
        cells = (entry["name"], value, entry["repeats"], target, verdict(entry), sides, measured)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def _read() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    return entries


def _number(value: float) -> str:
    return f"{value:.3g}"


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    for text in listed.read_text().splitlines() if listed.exists() else ():
        if text.startswith("model name"):
            return " ".join(text.partition(":")[2].split())
    return platform.processor() or platform.machine()
