"""What is compared: each side's configuration, what differs, and what a reader must be warned of."""

from collections.abc import Mapping, Sequence

from emotion_mlflow.comparison.material import Material
from emotion_mlflow.comparison.values import Side

NOT_SETTINGS = (
    "model.backbone",
    "model.weights",
    "training.rng_seed",
    "data.data",
    "data.max_rejected",
    "data.data_format",
)
"""What the comparison is about and shows by itself, or what does not decide a result."""
FEW_SEEDS = 3

Materials = Mapping[str, Sequence[Material]]


def describe(name: str, versions: Sequence[Material], *, used: int) -> Side:
    """One side from its versions, in order of their seeds."""
    first = versions[0]
    scores = [one.candidate.selection_score for one in versions]
    return Side(
        name=name,
        backbone=first.candidate.backbone,
        recipe=first.candidate.recipe,
        versions=tuple(one.candidate.name for one in versions),
        run_ids=tuple(one.candidate.run_id for one in versions),
        seeds=tuple(one.candidate.rng_seed for one in versions),
        used=used,
        selection_score=sum(scores) / len(scores),
        selected_on_test=first.candidate.selected_on_test,
        weights=first.params.get("weights", "unknown"),
        weights_digest=first.params.get("weights_digest", ""),
        weights_kind=weights_kind(first),
        config=first.settings,
    )


def weights_kind(material: Material) -> str:
    """`imagenet`, `none` or `file`, and what of it is known to be missing."""
    name = material.params.get("weights", "unknown")
    kind = name if name in ("imagenet", "none", "unknown") else "file"
    return kind + (f" ({_untrained(material)})" if _untrained(material) else "")


def _untrained(material: Material) -> str:
    untrained, layers = (material.params.get(f"batch_norm_{each}", "0") for each in ("untrained", "layers"))
    if material.params.get("weights") == "none" or untrained in ("0", ""):
        return ""
    return f"{untrained} of {layers} BatchNormalization layers were never trained"


def differing(materials: Materials) -> dict[str, dict[str, str]]:
    """Setting -> side -> value, where the sides' first versions do not agree."""
    configs = {name: versions[0].settings for name, versions in materials.items()}
    names = list(dict.fromkeys(setting for config in configs.values() for setting in config))
    found = {}
    for setting in names:
        if setting in NOT_SETTINGS:
            continue
        values = {name: config.get(setting, "not set") for name, config in configs.items()}
        if len(set(values.values())) > 1:
            found[setting] = values
    return found


def warnings(materials: Materials, *, used: Mapping[str, int]) -> list[str]:
    """What makes the comparison say less than it seems to."""
    firsts = {name: versions[0] for name, versions in materials.items()}
    found = []
    recipes = {name: one.candidate.recipe for name, one in firsts.items()}
    if len({one.candidate.backbone for one in firsts.values()}) == 1:
        if len(differing(materials)) > 1:
            found.append(f"several settings differ at once: {', '.join(differing(materials))}")
    elif len(set(recipes.values())) > 1:
        told = ", ".join(f"{name} {recipe}" for name, recipe in recipes.items())
        found.append(f"backbone and recipe are confounded: the recipes differ ({told})")
    elif differing(materials):
        settings = ", ".join(differing(materials))
        found.append(f"backbone and settings are confounded: the sides also differ in {settings}")
    kinds = {name: weights_kind(one).split(" (")[0] for name, one in firsts.items()}
    if len(set(kinds.values())) > 1:
        told = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        found.append(f"the starting weights are not of the same kind: {told}")
    for name, one in firsts.items():
        if _untrained(one):
            found.append(f"{name}'s starting weights ({one.params.get('weights')}) are incomplete: {_untrained(one)}")
    if "file" in kinds.values():
        found.append("weights from files: whether they were trained on the same pictures is not known here")
    if min(len(versions) for versions in materials.values()) < FEW_SEEDS:
        compared = " with ".join(
            " and ".join(one.candidate.name for one in versions[: used[name]]) for name, versions in materials.items()
        )
        found.append(
            f"fewer than {FEW_SEEDS} seeds a side: this compares these versions ({compared}), not the backbones"
        )
    found += _about_runs(materials)
    return found


def _about_runs(materials: Materials) -> list[str]:
    everyone = [one for versions in materials.values() for one in versions]
    found = []
    selected = [one.candidate.name for one in everyone if one.candidate.selected_on_test]
    if selected:
        found.append(f"{', '.join(selected)}: epochs were chosen on the test faces, so these scores are too good")
    dirty = [one.candidate.name for one in everyone if one.params.get("git/dirty") == "true"]
    if dirty:
        found.append(f"{', '.join(dirty)}: trained from code with changes that no commit holds")
    leaks = max(one.metrics.get("data/leaks", 0) for one in everyone)
    if leaks:
        found.append(
            f"up to {leaks:.0f} held-out faces have a near-identical picture in another split (see --drop-leaks)"
        )
    if len({one.machine for one in everyone}) > 1:
        found.append("timings come from different machines")
    return found
