"""Thousands of bad inputs to every reader: a mistake is told in one line, and nothing else may ever come of it.

`python -m benchmarks.campaign_fuzz --inputs 50000`, or `make campaign-fuzz`; exit code 1 where anything did. Each
reader is tried in a process of its own, with limits on time and memory; every faulty input is kept.
"""

import json
import pickle
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import click

KEPT = 20
"""Faulty inputs that are kept of each reader's shard."""


@dataclass(kw_only=True)
class Tally:
    """What became of one reader's inputs."""

    reader: str
    inputs: int = 0
    read: int = 0
    """Taken: some damage harms nobody."""
    refused: int = 0
    faults: int = 0
    seconds: float = 0.0
    told: dict[str, int] = field(default_factory=dict)
    """Faults by kind and words, with how often."""

    def add(self, other: "Tally") -> None:
        """Counts another shard in."""
        for name in ("inputs", "read", "refused", "faults", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.told = dict(Counter(self.told) + Counter(other.told))


def readers(*, heavy: bool | None = None) -> dict[str, Any]:
    """Every reader under fire, or those that do or do not import MLflow and TensorFlow."""
    from benchmarks.fuzz import models, sets, settings, tables

    found = [*sets.READERS, *tables.READERS, *settings.READERS, *models.READERS]
    return {reader.name: reader for reader in found if heavy is None or reader.heavy == heavy}


def fire(reader: Any, *, inputs: int, seed: int, folder: Path, faults: Path | None = None) -> Tally:
    """Tries `inputs` bad inputs in this process, whose memory is limited from then on."""
    import hypothesis
    from hypothesis import HealthCheck, Phase

    from benchmarks.fuzz.guard import Guard

    guard, tally, begun = Guard(folder), Tally(reader=reader.name), time.perf_counter()
    strategy, read = reader.prepare(guard)

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=inputs, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(strategy)
    def each(given: Any) -> None:
        if tally.inputs == WARM:
            guard.limit_memory()
        (folder / "last").write_bytes(pickle.dumps(given))
        outcome = guard.attempt(lambda: read(given))
        tally.inputs += 1
        if outcome.fault:
            _note(tally, outcome, given, faults)
        else:
            setattr(tally, outcome.kind, getattr(tally, outcome.kind) + 1)

    each()
    tally.seconds = time.perf_counter() - begun
    return tally


WARM = 3
"""Readings before memory is limited: they import what the reader needs."""


def _note(tally: Tally, outcome: Any, given: Any, faults: Path | None) -> None:
    tally.faults += 1
    words = f"{outcome.kind}: {outcome.what}"
    if faults and words not in tally.told and len(tally.told) < KEPT:
        faults.mkdir(parents=True, exist_ok=True)
        name = f"{tally.reader.replace(' ', '-')}-{len(tally.told)}"
        (faults / f"{name}.pickle").write_bytes(pickle.dumps(given))
        (faults / f"{name}.txt").write_text(f"{words}\n{given!r}\n"[:20_000], errors="backslashreplace")
    tally.told[words] = tally.told.get(words, 0) + 1


def shard(name: str, *, inputs: int, seed: int, faults: Path | None = None) -> Tally:
    """The same in a process of its own; one that dies is a fault of its last input."""
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-fuzz-") as folder:
        command = [sys.executable, "-m", "benchmarks.campaign_fuzz", "--shard", name, "--inputs", str(inputs)]
        command += ["--seed", str(seed), "--folder", folder, *(["--faults", str(faults)] if faults else [])]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False, cwd=_HOUSE)
        lines = done.stdout.splitlines()
        if done.returncode == 0 and lines:
            return Tally(**json.loads(lines[-1]))
        last = Path(folder, "last")
        if faults and last.exists():
            faults.mkdir(parents=True, exist_ok=True)
            (faults / f"{name.replace(' ', '-')}-died-{seed}.pickle").write_bytes(last.read_bytes())
    words = f"the process died ({done.returncode}): {done.stderr[-600:]}"
    return Tally(reader=name, faults=1, told={words: 1})


_HOUSE = Path(__file__).parents[1]


def run(
    *, inputs: int, names: Sequence[str], seed: int, show: Callable[[str], None], faults: Path | None = None
) -> dict[str, Tally]:
    """Every reader's tally: its share of `inputs` each, in shards of at most LARGEST, two at a time."""
    known = readers()
    whole = sum(known[name].share for name in names)
    jobs = []
    for name in names:
        wanted = -(-inputs * known[name].share // whole)
        sizes = [LARGEST] * (wanted // LARGEST) + ([wanted % LARGEST] if wanted % LARGEST else [])
        jobs += [(name, size, seed * 1000 + number) for number, size in enumerate(sizes)]
    tallies = {name: Tally(reader=name) for name in names}
    with ThreadPoolExecutor(2) as pool:
        for tally in pool.map(lambda job: shard(job[0], inputs=job[1], seed=job[2], faults=faults), jobs):
            tallies[tally.reader].add(tally)
    for line in table(tallies):
        show(line)
    return tallies


LARGEST = 5000
"""Inputs of one process."""


def table(tallies: dict[str, Tally]) -> list[str]:
    """Markdown: what docs/RELIABILITY.md states."""
    lines = ["| reader | inputs | refused | taken | faults | s |", "|---|--:|--:|--:|--:|--:|"]
    for each in [*tallies.values(), _total(tallies)]:
        counts = (each.inputs, each.refused, each.read, each.faults, round(each.seconds))
        lines.append(f"| {each.reader} | {' | '.join(f'{count:,}' for count in counts)} |")
    for each in tallies.values():
        lines += [f"{each.reader}: {count} x {words}" for words, count in list(each.told.items())[:KEPT]]
    return lines


def _total(tallies: dict[str, Tally]) -> Tally:
    total = Tally(reader="all")
    for tally in tallies.values():
        total.add(tally)
    return total


@click.command()
@click.option("--inputs", default=50_000, show_default=True, help="Of all readers together.")
@click.option("--reader", "names", multiple=True, help="Only this one; may stand several times.")
@click.option("--seed", default=1, show_default=True)
@click.option("--faults", type=click.Path(path_type=Path), help="Folder that keeps faulty inputs.")
@click.option("--shard", "only", hidden=True, help="Fire at one reader in this very process.")
@click.option("--folder", type=click.Path(path_type=Path), hidden=True)
def main(
    inputs: int, names: tuple[str, ...], seed: int, faults: Path | None, only: str | None, folder: Path | None
) -> None:
    """Fires bad inputs at every reader."""
    if only and folder:
        click.echo(json.dumps(asdict(fire(readers()[only], inputs=inputs, seed=seed, folder=folder, faults=faults))))
        return
    if unknown := set(names) - set(readers()):
        raise click.BadParameter(
            f"{', '.join(sorted(unknown))} is none of {', '.join(readers())}", param_hint="--reader"
        )
    begun = time.perf_counter()
    tallies = run(inputs=inputs, names=names or list(readers()), seed=seed, show=click.echo, faults=faults)
    click.echo(f"{time.perf_counter() - begun:.0f} s")
    sys.exit(1 if any(tally.faults for tally in tallies.values()) else 0)


if __name__ == "__main__":
    main()
