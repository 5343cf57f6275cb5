"""The model card of a promoted version, as Markdown: what it is for, what not, data, scores, limits, gates. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emotion_mlflow.data.sets import DEMO
from emotion_mlflow.metrics.suite import PRIMARY, pick, score_name
from emotion_mlflow.promotion.gates import Facts, Gate, Missing

TEMPLATE = Path(__file__).with_name("card.md.j2")

LONGEST = 5000
"""Characters that MLflow's database keeps of a description; PostgreSQL refuses a longer one."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The version that the card is about, as registry and run tell it."""

    model_name: str
    version: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    """Of its training run, without `config/`."""
    metrics: Mapping[str, float]
    faces: int
    """Test faces; 0: not known."""


def model_card(
    subject: Subject, facts: Facts, gates: Sequence[Gate], *, alias: str, previous: str | None, run_id: str, time: str
) -> str:
    """The card's text, at most LONGEST characters. Names that come from data or flags are escaped."""
    decision = _decision(alias, previous)
    text = _render(subject, facts, gates, decision=decision, run_id=run_id, time=time)
    if len(text) > LONGEST:
        text = _render(subject, facts, (), decision=decision, run_id=run_id, time=time)
    return text if len(text) <= LONGEST else text[: LONGEST - 2] + " …"


def _render(subject: Subject, facts: Facts, gates: Sequence[Gate], *, decision: str, run_id: str, time: str) -> str:
    from jinja2 import Environment, StrictUndefined

    house = Environment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True)  # noqa: S701  Markdown
    house.filters["text"] = escaped
    tags, params = subject.tags, subject.params
    known = {name: tags.get(name, "not known") for name in ("backbone", "recipe", "rng_seed", "data_name")}
    known |= {name: tags.get(name, "not known") for name in ("test_digest", "config_digest", "weights")}
    return house.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        **known,
        model_name=subject.model_name,
        version=subject.version,
        weights_digest=tags.get("weights_digest", ""),
        tasks=tags.get("tasks", "").split(","),
        image_size=params.get("model.image_size", "?"),
        commit=params.get("git/commit", "not known"),
        drawn=params.get("data.data") == DEMO,
        dirty=params.get("git/dirty") == "true",
        decision=decision,
        faces=subject.faces,
        scores=_scores(subject.metrics),
        recalls=facts.recalls if not isinstance(facts.recalls, Missing) else None,
        latency=_known(facts.cost.latency_ms, "{:.1f} ms"),
        size=_known(facts.cost.file_bytes, "{:,.0f} bytes"),
        ece=None if facts.ece is None else _known(facts.ece, "{:.3f}"),
        gates=gates,
        time=time,
        run_id=run_id,
    )


def escaped(text: object) -> str:
    """One line in which nothing of Markdown or HTML is left to act."""
    line = "".join(each if each.isprintable() else " " for each in str(text))
    return re.sub(r"([\\`*_{}\[\]<>#|~&!])", r"\\\1", " ".join(line.split()))


def _decision(alias: str, previous: str | None) -> str:
    before = f", after version {previous}" if previous else ", the first one"
    return f"It passed the gates below and became `@{alias}`{before}."


def _scores(metrics: Mapping[str, float]) -> list[dict[str, Any]]:
    prefix = score_name("test", "")
    logged = {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}
    rows = []
    for name, value in pick(logged, PRIMARY).items():
        low, high = logged.get(f"{name}_low"), logged.get(f"{name}_high")
        interval = f"[{low:.3f}, {high:.3f}]" if low is not None and high is not None else "not known"
        rows.append({"name": name.replace("/", " ").replace("_", " "), "value": f"{value:.3f}", "interval": interval})
    return rows


def _known(figure: float | Missing | None, form: str) -> str:
    return "not known" if figure is None or isinstance(figure, Missing) else form.format(figure)
