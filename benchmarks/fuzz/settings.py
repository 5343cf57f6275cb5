"""Settings under fire: `--set` and the other flags, the gates' and the grid's YAML."""

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.fuzz.damage import damaged, plain_values, words
from benchmarks.fuzz.guard import Guard
from benchmarks.fuzz.reader import Prepared, Reader, written
from emotion_mlflow import cli
from emotion_mlflow.cli.options import TRAIN
from emotion_mlflow.config import RunConfig, field_names
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.promotion.limits import SHIPPED, read_limits
from emotion_mlflow.scale.file import read_grid_file

TAGS = (
    "!!python/object/apply:os.system ['touch CANARY']", "!!python/object/new:os.mkdir ['CANARY']",
    "!!python/name:os.system ''", "!!python/module:os ''", "!!timestamp x", "!!int ''", "!!bool x", "!!float '.'",
    "!!binary ø", "!!binary x", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a]", "!unknown x", "!!null x", "!!str [a]",
    "2001-99-99", "2001-01-01", "1:60:99", "0b", "0x", ".inf", "-.inf", ".nan", "~", "yes", "*a", "&a [*a]", "<<",
    "? [a]", "|", ">", "'", '"\\x', "%TAG ! x", "---", "...", "\t", "@", "`", "\ufeff", "\x00", "\x85", "1e-4", "1_0",
    "9" * 5000, "0x" + "f" * 6000, "[" * 2000, "{a: " * 2000, "- " * 2000, "a: b: c", "1e400", "190:20:30.15",
)  # fmt: skip
_BOMB = (
    "{a: &a [x,x,x,x,x,x,x,x,x], "
    + ", ".join(
        f"{name}: &{name} [{','.join(['*' + before] * 9)}]"
        for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    + "}"
)
"""A billion words in half a kilobyte."""


@st.composite
def yaml_files(draw: Callable, *, canary: Path, keys: tuple[str, ...], good: bytes) -> bytes:
    """Known keys with tagged, nested, endless or circular values; damaged bytes of a good file; bombs."""
    kind = draw(st.integers(0, 5))
    if kind == 0:
        return draw(damaged((good, good.decode().encode("utf-16")), head=2000))
    if kind == 1:
        return f"{draw(st.sampled_from(keys))}: {_BOMB}\n".encode()
    values = st.one_of(st.sampled_from(TAGS), plain_values().map(repr), words())
    chosen = draw(st.lists(st.sampled_from((*keys, "a", "&a a", "? a", "<<", "1", "null")), min_size=1, max_size=4))
    lines = [f"{key}: {draw(values)}" for key in chosen]
    if kind == 2:
        lines = [*good.decode().splitlines(), *lines]
    return "\n".join(lines).replace("CANARY", str(canary)).encode("utf-8", "surrogatepass")


def _limits(guard: Guard) -> Prepared:
    good = SHIPPED.read_bytes()
    keys = tuple(line.split(":")[0] for line in good.decode().splitlines() if line[:1].isalpha())
    made = yaml_files(canary=guard.canary, keys=keys, good=good)
    return made, lambda content: read_limits(written(guard.inside / "gates.yaml", content))


def _grid(guard: Guard) -> Prepared:
    keys = ("backbones", "recipe", "rng_seeds", "set", "weights", "vary", "epochs", "image_size")
    good = b"backbones: [resnet50, efficientnetb0]\nrng_seeds: [0, 1]\nset: {training.dropout: 0.2}\nepochs: 3\n"
    made = yaml_files(canary=guard.canary, keys=keys, good=good)
    return made, lambda content: read_grid_file(written(guard.inside / "grid.yaml", content), names=keys)


def _settings(guard: Guard) -> Prepared:
    """`--set` texts, and what a run's params or a grid's cell may say: text, or values of other types."""
    name = st.sampled_from((*field_names(), "recipe", "training", "training.", ".", "model.x", "", "data.data.x"))
    changes = st.dictionaries(name, st.one_of(words(), words(), plain_values()), min_size=1, max_size=4)
    plain = RunConfig(recipe="plain")

    def look(given: dict[str, Any]) -> None:
        changed = plain.override(given)
        changed.digest(training_data="", weights="")
        if RunConfig.from_params(changed.to_params()) != changed:
            raise AssertionError("a configuration that is not what its params say")

    return changes, look


def _flags(guard: Guard) -> Prepared:
    """Whole command lines; the set of faces is never there, so that none goes on to train."""
    flags = [option.flag for option in TRAIN if option.name not in ("data", "resume", "cache_dir", "tracking_uri")]
    flags += ["--nonsense", "-x", "--", "-h=1", ""]
    value = words().map(lambda word: word.replace("\0", ""))
    pairs = st.lists(st.tuples(st.sampled_from(flags), value, st.booleans()), max_size=4)
    commands = st.sampled_from(("train", "train", "evaluate", "data", "compare", "grid", "nonsense"))

    def look(given: tuple[str, list[Any]]) -> None:
        arguments = [given[0], "--data", str(guard.inside / "absent")]
        for flag, word, joined in given[1]:
            arguments += [f"{flag}={word}"] if joined else [flag, word]
        _run(arguments)

    return st.tuples(commands, pairs), look


def _run(arguments: list[str]) -> None:
    """The command line as `main` runs it: exit code 2 and one line on stderr are a refusal."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main(arguments)
        except SystemExit as error:
            code = error.code
    if code == 0:
        return  # --help
    if code != 2:
        raise AssertionError(f"exit code {code}: {err.getvalue()[-200:]}")
    lines = err.getvalue().removesuffix("\n")
    if "\n" in lines:
        raise AssertionError(f"more than one line: {lines[:300]!r}")
    raise ConfigError("a command line", got=lines)


READERS = (
    Reader(name="settings (--set)", prepare=_settings, share=150),
    Reader(name="command lines", prepare=_flags, share=60),
    Reader(name="gates.yaml", prepare=_limits, share=40),
    Reader(name="grid.yaml", prepare=_grid, share=40),
)
