"""One comparison: the registry's best configurations, their stored predictions, the tests, the report, its run.

It never runs a model again. Used by the command line, and by `grid` and `demo` at their end.
"""

import datetime
import math
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from emotion_mlflow import cache
from emotion_mlflow.comparison.assemble import assemble
from emotion_mlflow.comparison.choice import Candidate, best_validated, candidate, choose
from emotion_mlflow.comparison.material import Material
from emotion_mlflow.comparison.values import Comparison
from emotion_mlflow.config import AUTO, SHOW_FACES, DataConfig
from emotion_mlflow.errors import ConfigError, EmotionError, ModelError, without_password
from emotion_mlflow.evaluate import read_predictions
from emotion_mlflow.jobs.request import require_experiment
from emotion_mlflow.metrics.paired import RESAMPLES
from emotion_mlflow.metrics.suite import lower_is_better
from emotion_mlflow.models.facts import backbone_facts
from emotion_mlflow.recipes import RECIPES
from emotion_mlflow.report.files import PAGE, require_folder, write_report
from emotion_mlflow.report.markdown import escaped
from emotion_mlflow.report.wording import verdict
from emotion_mlflow.reporter import Reporter
from emotion_mlflow.tracking import registry, runs, stored

READERS = 4
"""Artifacts fetched at once."""


@dataclass(frozen=True, kw_only=True)
class CompareRequest:
    """What a user asked for."""

    backbones: tuple[str, ...] = ("resnet50", "efficientnetb0")
    models: tuple[str, ...] = ()
    """Single versions instead: `emotion@a`, `emotion/7`, `runs:/ID`."""
    recipe: str = AUTO
    """`auto`: every recipe but those that select on the test faces."""
    metric: str = AUTO
    """Validation score that picks each backbone's configuration; `auto`: the selection score."""
    test_digest: str = ""
    out: Path = Path("comparison")
    experiment: str = "emotion"
    model_name: str = "emotion"
    tracking_uri: str | None = None
    show_faces: str = AUTO
    cache_dir: Path = field(default_factory=cache.default_cache_dir)
    command: str = ""
    resamples: int = RESAMPLES

    @property
    def is_default(self) -> bool:
        """The query whose answer the aliases `@<backbone>` follow."""
        return not self.models and self.recipe == AUTO and self.metric == AUTO and not self.test_digest

    def check(self) -> None:
        """Raises what can be known of a mistake without asking the registry."""
        require_experiment(self.experiment)
        if self.show_faces not in SHOW_FACES:
            raise ConfigError(f"one of {', '.join(SHOW_FACES)}", got=self.show_faces, where="--show-faces")
        names, flag = (self.models, "--models") if self.models else (self.backbones, "--backbones")
        if len(set(names)) < 2 or len(set(names)) < len(names):
            raise ConfigError("two or more different ones, with commas", got=",".join(names) or "none", where=flag)
        for backbone in () if self.models else self.backbones:
            backbone_facts(backbone)
        if self.recipe not in (AUTO, *RECIPES):
            raise ConfigError(f"a recipe of {', '.join((AUTO, *RECIPES))}", got=self.recipe, where="--recipe")
        for name in ("backbones", "recipe", "metric", "test_digest") if self.models else ():
            if getattr(self, name) != getattr(CompareRequest, name):
                raise ConfigError("nothing that chooses versions", got=f"--{name.replace('_', '-')}", where="--models")
        require_folder(self.out)


@dataclass(frozen=True, kw_only=True)
class CompareOutcome:
    """A finished comparison."""

    run_id: str
    comparison: Comparison
    report: Path
    """`report.html` on this machine."""
    tracking_uri: str

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints: what `comparison.json` holds and nothing else."""
        return self.comparison.to_dict()


def compare(request: CompareRequest, reporter: Reporter) -> CompareOutcome:
    """Compares, writes the report to `out`, logs it to a `comparison` run, moves `@<backbone>` on the default query.

    An alias never goes back: it stays at a newer version that was scored on other faces or for other tasks.
    """
    request.check()
    uri = runs.connect(request.tracking_uri)
    reporter.stage("asking the registry")
    sides, other_groups, notes = _sides(request)
    moved = _moved(request, sides) if request.is_default else {}
    notes += [
        f"@{name} stays where it is, at a newer version that was scored on other faces or for other tasks"
        for name in sides
        if request.is_default and name not in moved
    ]
    reporter.stage("fetching predictions")
    materials = _materials(sides, reporter)
    reporter.stage("testing the differences")
    comparison = assemble(
        materials,
        repeats=_repeats(),
        notes=notes,
        other_groups=other_groups,
        drawn=_drawn(materials),
        command=request.command,
        now=datetime.datetime.now(datetime.UTC),
        resamples=request.resamples,
    )
    name = f"compare {' and '.join(comparison.names)}"
    tags = {"kind": "comparison", "test_digest": comparison.test_digest, "data_name": comparison.data_name}
    with runs.open_run(experiment=request.experiment, tracking_uri=request.tracking_uri, name=name, tags=tags) as run:
        reporter.stage("drawing figures")
        pictures = _figures(request, materials, comparison, run)
        reporter.stage("writing the report")
        write_report(request.out, comparison, pictures, ui=without_password(uri) if uri.startswith("http") else "")
        run.log_folder(request.out)
        run.log_scores(_differences(comparison))
        _link(run, sides, comparison)
        for backbone, number in moved.items():
            registry.point(request.model_name, backbone, number)
    return CompareOutcome(
        run_id=run.run_id,
        comparison=comparison,
        report=request.out / PAGE,
        tracking_uri=without_password(run.tracking_uri),
    )


@dataclass(frozen=True, kw_only=True)
class _Named:
    """A version with its tags read."""

    candidate: Candidate
    version: registry.Version


_Sides = Mapping[str, Sequence[_Named]]


def _sides(request: CompareRequest) -> tuple[_Sides, tuple[str, ...], list[str]]:
    """Side -> versions, the other groups, and what must be said of the choice."""
    if request.models:
        named = {spec: [_named(spec)] for spec in request.models}
        _require_different(named)
        return named, (), []
    read = [(_candidate(version), version) for version in registry.versions(request.model_name)]
    known = {one.name: _Named(candidate=one, version=version) for one, version in read if one}
    foreign = len(read) - len(known)
    notes = [f"{foreign} versions of {request.model_name} carry no tags of ours and were left out"] if foreign else []
    candidates = [named.candidate for named in known.values()]
    choice = choose(
        candidates,
        backbones=request.backbones,
        recipe="" if request.recipe == AUTO else request.recipe,
        test_digest=request.test_digest,
        score=None if request.metric == AUTO else lambda one: _scored_by(one, request.metric),
        flags=_flags,
    )
    sides = {name: [known[one.name] for one in versions] for name, versions in choice.sides.items()}
    return sides, choice.other_groups, notes


def _moved(request: CompareRequest, sides: _Sides) -> dict[str, str]:
    """Backbone -> number of the version that its alias goes to, where it does not stay at a newer one."""
    moved = {}
    for backbone, versions in sides.items():
        best = best_validated([named.candidate for named in versions])
        try:
            now = _candidate(registry.find(f"models:/{request.model_name}@{backbone}"))
        except ModelError:
            now = None
        if now is None or now.group == best.group or now.number < best.number:
            moved[backbone] = str(best.number)
    return moved


def _candidate(version: registry.Version) -> Candidate | None:
    name = f"{version.name}/{version.number}" if version.number else f"runs:/{version.run_id}"
    return candidate(name=name, number=int(version.number or 0), run_id=version.run_id, tags=version.tags)


def _named(spec: str) -> _Named:
    """The version of `emotion@a`, `emotion/7` or `runs:/ID`, under its number: an alias moves."""
    version = registry.find(spec if spec.startswith(("models:/", "runs:/")) else f"models:/{spec}")
    if not version.number:
        version = replace(version, tags=dict(stored.read_run(version.run_id).tags))
    found = _candidate(version)
    if found is None:
        raise ModelError("a version that `train` registered, with its tags", got="another", where=spec)
    return _Named(candidate=found, version=version)


def _require_different(sides: _Sides) -> None:
    """One version under two names would be compared with itself."""
    known: dict[str, str] = {}
    for spec, (named,) in sides.items():
        other = known.setdefault(named.candidate.run_id, spec)
        if other != spec:
            raise ConfigError("different versions", got=f"{other} and {spec}, which are the same", where="--models")


def _scored_by(one: Candidate, metric: str) -> float:
    """The validation `metric`, turned so that higher is better; -inf where the version has none."""
    value = stored.read_run(one.run_id).metrics.get(f"final/val/{metric}", math.nan)
    if not math.isfinite(value):
        return -math.inf
    return -value if lower_is_better(metric) else value


def _flags(one: Candidate) -> str:
    """What a training must be told so that its version joins this one's group: faces, tasks, size, kind of weights."""
    params = stored.read_run(one.run_id).params
    said = {
        name: params.get(f"data.{name}", "") for name in ("data", "data_format", "split_seed", "limit", "drop_leaks")
    }
    said = {name: text for name, text in said.items() if text not in ("", str(getattr(DataConfig, name)))}
    said["image_size"] = params.get("model.image_size", "")
    said["tasks"] = one.tasks
    start = params.get("weights", "")
    said["weights"] = start if start in ("imagenet", "none", "") else "FILE"
    return "".join(f" --{name.replace('_', '-')} {shlex.quote(text)}" for name, text in said.items() if text)


def _materials(sides: _Sides, reporter: Reporter) -> dict[str, list[Material]]:
    wanted = [(name, named) for name, versions in sides.items() for named in versions]
    materials: dict[str, list[Material]] = {name: [] for name in sides}
    with ThreadPoolExecutor(READERS) as readers:
        fetched = readers.map(lambda each: _material(each[1].candidate), wanted)
        for done, ((name, _), material) in enumerate(zip(wanted, fetched, strict=True), start=1):
            materials[name].append(material)
            reporter.advance(done, len(wanted))
    return materials


def _material(one: Candidate) -> Material:
    run = stored.read_run(one.run_id)
    table = stored.read_table(one.run_id, "predictions/test.parquet")
    table = table.sort_values("id", kind="stable", ignore_index=True)
    try:
        history = stored.read_table(one.run_id, "history.csv")
    except ModelError:
        history = pd.DataFrame()
    return Material(
        candidate=one,
        answers=read_predictions(table),
        ids=table["id"].to_numpy().astype(str),
        identities=table["identity"].to_numpy().astype(str),
        contents=table["content_hash"].to_numpy().astype(str),
        history=history,
        params=run.params,
        metrics=run.metrics,
    )


def _repeats() -> dict[str, int]:
    """How often a training times its saved model."""
    from emotion_mlflow import timing

    return {"latency": timing.LATENCY_REPEATS, "throughput": timing.THROUGHPUT_REPEATS}


def _drawn(materials: Mapping[str, Sequence[Material]]) -> bool:
    from emotion_mlflow.data.sets import DEMO

    return all(one.params.get("data.data") == DEMO for versions in materials.values() for one in versions)


def _figures(
    request: CompareRequest, materials: Mapping[str, Sequence[Material]], comparison: Comparison, run: runs.Run
) -> dict[str, Any]:
    from emotion_mlflow.plots.comparison import Compared, comparison_figures

    compared = [
        Compared(
            name=name,
            answers=versions[0].answers,
            histories=[one.history for one in versions if len(one.history)],
            best_epochs=[one.best_epoch for one in versions if len(one.history)],
        )
        for name, versions in materials.items()
    ]
    faces = _faces(request, next(iter(materials.values()))[0], comparison, run)
    return dict(comparison_figures(compared, comparison, layout=None, faces=faces))


def _faces(request: CompareRequest, first: Material, comparison: Comparison, run: runs.Run) -> Any:
    """The faces that the sides disagree on, as they may be shown; None where that is ids only, or they are not here."""
    from emotion_mlflow.data.pixels import load_pixels
    from emotion_mlflow.data.sets import open_set
    from emotion_mlflow.plots.faces import THUMBNAIL_SIDE, FacesToShow
    from emotion_mlflow.tracking.artifacts import how_to_show

    try:
        manifest = open_set(
            first.params.get("data.data", ""),
            data_format=first.params.get("data.data_format", AUTO),
            cache_dir=request.cache_dir,
        )
    except EmotionError:
        return None  # the report shows ids, and says so
    how = how_to_show(request.show_faces, manifest, run.tracking_uri, run.artifact_uri)
    rows = {face: row for row, face in enumerate(first.ids)}
    place = {
        (face, content): row for row, (face, content) in enumerate(manifest.table[["id", "content_hash"]].to_numpy())
    }
    seen = {one.face: (one.face, first.contents[rows[one.face]]) for one in comparison.disagreements}
    known = [face for face, picture in seen.items() if picture in place]  # another picture of that name is not shown
    if how == "none" or not known:
        return None
    part = manifest.rows([place[seen[face]] for face in known])
    with tempfile.TemporaryDirectory(prefix="emotion-mlflow-") as folder:
        pixels = np.array(load_pixels(part, image_size=THUMBNAIL_SIDE, cache_dir=Path(folder)))
    return FacesToShow(
        ids=first.ids.tolist(),
        pictures={rows[face]: pixels[number] for number, face in enumerate(known)},
        thumbnails=how == "thumbnails",
    )


def _differences(comparison: Comparison) -> dict[str, float]:
    """The primary rows as metrics of the comparison's own run."""
    figures = {}
    for row in comparison.rows:
        if row.primary and row.difference is not None:
            figures[f"difference/{row.task}/{row.metric}"] = row.difference
            if row.p_corrected is not None:
                figures[f"p_corrected/{row.task}/{row.metric}"] = row.p_corrected
    return figures


def _link(run: runs.Run, sides: _Sides, comparison: Comparison) -> None:
    """Versions name the comparison; the run names the versions and opens with the verdict and a way to the page."""
    versions = [named.version for each in sides.values() for named in each]
    page = f"#/experiments/{run.experiment_id}/runs/{run.run_id}/artifacts/{PAGE}"
    run.set_tags(
        {
            "compared_versions": ",".join(named.candidate.name for each in sides.values() for named in each),
            "mlflow.note.content": f"{escaped(verdict(comparison))}\n\n[The whole report]({page})",
        }
    )
    for version in versions:
        registry.tag_version(version, {"comparison_run": run.run_id})
