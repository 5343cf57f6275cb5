"""Recommendations by rules that can be read, each with the figure that supports it. Used by the comparison."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

from emotion_mlflow.comparison.diagnosis import collapse, predicted_shares
from emotion_mlflow.comparison.material import Material
from emotion_mlflow.comparison.values import NO_WINNER, Advice, Row, p_value

CLEARLY_CHEAPER = 1.25
"""Factor from which a cost is worth a sentence."""
POOR_CALIBRATION = 0.1
"""ECE from which probabilities should not be used as they are."""
RARELY_FOUND = 0.05
"""F1 of a class from which it is as good as never found."""

COST_WORDS = {
    "latency_ms": ("it answers one picture {factor:.1f} times as fast", "{value:.0f} ms against {other:.0f} ms"),
    "model_file_bytes": ("its file is {factor:.1f} times smaller", "{value:,.0f} bytes against {other:,.0f}"),
    "parameters": ("it has {factor:.1f} times fewer parameters", "{value:,.0f} against {other:,.0f}"),
}


def advise(rows: Sequence[Row], materials: Mapping[str, Sequence[Material]]) -> tuple[Advice, ...]:
    """`Choose` and `avoid` for each side; where nothing separates them, one line that says so."""
    names = list(materials)
    one_machine = len({one.machine for versions in materials.values() for one in versions}) == 1
    costs = [metric for metric in COST_WORDS if one_machine or metric != "latency_ms"]
    found = [*_winners(rows), *_collapsed(materials), *_cheaper(rows, names, costs), *_faults(rows, names)]
    if not any(row.winner not in (None, NO_WINNER) for row in rows):
        found.append(_nothing_separates(rows, names))
    return tuple(found)


def _winners(rows: Sequence[Row]) -> Iterator[Advice]:
    won: dict[str, list[Row]] = {}
    for row in rows:
        if row.winner not in (None, NO_WINNER):
            won.setdefault(str(row.winner), []).append(row)
    for side, theirs in won.items():
        labels = " or ".join(row.label for row in theirs)
        yield Advice(
            side=side,
            kind="choose",
            text=f"Choose {side} if {labels} matters: it was tested and found better there.",
            figure="; ".join(map(_figure, theirs)),
        )


def _collapsed(materials: Mapping[str, Sequence[Material]]) -> Iterator[Advice]:
    for name, versions in materials.items():
        told = [(one, text) for one in versions if (text := collapse(one)) is not None]
        if not told:
            continue
        (first, text), shares = told[0], predicted_shares(told[0][0])
        which = first.candidate.name
        yield Advice(
            side=name,
            kind="avoid",
            text=f"Avoid {name} because it collapsed: {len(told)} of {len(versions)} versions did; {which} {text}.",
            figure=f"{which}: largest share of one answer on test faces {0.0 if shares is None else shares.max():.3f}",
        )


def _cheaper(rows: Sequence[Row], names: Sequence[str], metrics: Sequence[str]) -> Iterator[Advice]:
    for metric in metrics:
        sentence, figures = COST_WORDS[metric]
        row = next((row for row in rows if row.metric == metric), None)
        if row is None:
            continue
        for name, other in itertools.permutations(names, 2):
            value, against = row.values[name].value, row.values[other].value
            if not isinstance(value, float) or not isinstance(against, float) or value <= 0:
                continue
            factor = against / value
            if factor >= CLEARLY_CHEAPER:
                yield Advice(
                    side=name,
                    kind="choose",
                    text=f"Choose {name} if cost matters: beside {other} {sentence.format(factor=factor)}.",
                    figure=f"{row.name} {figures.format(value=value, other=against)}",
                )


def _faults(rows: Sequence[Row], names: Sequence[str]) -> Iterator[Advice]:
    for name in names:
        figures = [(row, row.values[name].value) for row in rows if row.split == "test" and name in row.values]
        poor = [f"{row.name} {value:.3f}" for row, value in figures if row.metric == "ece" and _above(value)]
        if poor:
            text = f"Avoid {name} where probabilities are used, because they are badly calibrated."
            yield Advice(side=name, kind="avoid", text=text, figure=poor[0])
        rare = [(row, value) for row, value in figures if row.metric.startswith("f1_") and _below(value)]
        if rare:
            missed = ", ".join(row.metric.removeprefix("f1_") for row, _ in rare)
            told = "; ".join(f"{row.name} {value:.3f}" for row, value in rare)
            text = f"Avoid {name} because it hardly ever finds {missed}."
            yield Advice(side=name, kind="avoid", text=text, figure=told)


def _above(value: object) -> bool:
    return isinstance(value, float) and value > POOR_CALIBRATION


def _below(value: object) -> bool:
    return isinstance(value, float) and value < RARELY_FOUND


def _nothing_separates(rows: Sequence[Row], names: Sequence[str]) -> Advice:
    tested = [row for row in rows if row.primary and row.p_corrected is not None]
    least = min(tested, key=lambda row: row.p_corrected or 0.0, default=None)
    figure = f"0 of {sum(row.primary for row in rows)} primary rows could be tested"
    if least is not None:
        figure = f"smallest corrected p of {len(tested)} primary rows: {least.name} {p_value(least.p_corrected)}"
    found = f"No quality figure tells {' and '.join(names)} apart on these faces"
    if len(names) > 2:
        found = f"None of {', '.join(names)} is better than every other one in a quality figure on these faces"
    text = f"{found}: choose by cost, or train more seeds."
    return Advice(side="", kind="none", text=text, figure=figure)


def _figure(row: Row) -> str:
    def cell(name: str) -> str:
        one = row.values[name]
        bounds = f" [{one.low:.3f}, {one.high:.3f}]" if one.low is not None and one.high is not None else ""
        return f"{one.value:.3f}{bounds}"

    first, second = row.between or ("", "")
    return (
        f"{row.name} {first} {cell(first)}, {second} {cell(second)}; difference {row.difference:.3f} "
        f"[{row.low:.3f}, {row.high:.3f}], corrected p {p_value(row.p_corrected)}"
    )
