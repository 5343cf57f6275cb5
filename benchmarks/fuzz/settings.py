"""Settings under fire: `--set` and the other flags, the YAML of the gates, the grid and the stack."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.fuzz.damage import damaged, nested, plain_values, words
from benchmarks.fuzz.guard import Guard
from benchmarks.fuzz.reader import Prepared, Reader, written
from emotion_mlflow import cli
from emotion_mlflow.cli.options import TRAIN
from emotion_mlflow.config import RunConfig, field_names
from emotion_mlflow.errors import ConfigError
from emotion_mlflow.promotion.limits import SHIPPED, read_limits
from emotion_mlflow.scale.file import read_grid_file
from emotion_mlflow.service import compose, containers
from emotion_mlflow.service.stack import COMPOSE
from emotion_mlflow.yaml_file import read_yaml

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


@st.composite
def _services(draw: Callable) -> bytes:
    """The shipped compose.yaml with values of any kind in the places of a service's keys, or of their parts."""
    text = read_yaml(COMPOSE, what="the shipped compose.yaml")
    service = text["services"][draw(st.sampled_from(sorted(text["services"])))]
    for key in draw(st.lists(st.sampled_from(sorted(compose.SERVICE_KEYS)), min_size=1, max_size=3)):
        value = draw(st.one_of(plain_values(), words(), words().map(lambda word: [word])))
        inner = service.get(key)
        if isinstance(inner, dict) and draw(st.booleans()):
            inner[draw(st.sampled_from(sorted(inner)))] = value
        else:
            service[key] = value
    if draw(st.booleans()):
        text[draw(st.sampled_from(sorted(compose.TOP_KEYS)))] = draw(nested())
    return json.dumps(text).encode()


def _compose(guard: Guard) -> Prepared:
    """compose.yaml with `.env` beside it, as far as what the engine is given."""
    made = yaml_files(canary=guard.canary, keys=tuple(compose.TOP_KEYS), good=COMPOSE.read_bytes()) | _services()
    names = st.sampled_from(("STACK_PORT", "STACK_USER", "STACK_BIND", "STACK_SERVER_MEMORY", "STACK_SECRETS", "="))
    pairs = st.tuples(names, words()).map(lambda pair: "=".join(pair).encode("utf-8", "surrogatepass"))
    beside = st.one_of(st.just(b""), pairs, st.binary(max_size=40))

    def look(given: tuple[bytes, bytes]) -> None:
        file = written(guard.inside / "compose.yaml", given[0])
        written(guard.inside / ".env", given[1])
        description = compose.read(file, compose.variables({}, file))
        for service in description.services:
            containers.arguments("team", service, secrets=description.secrets, image_id="")

    return st.tuples(made, beside), look


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
    Reader(name="compose.yaml", prepare=_compose, share=40),
)
