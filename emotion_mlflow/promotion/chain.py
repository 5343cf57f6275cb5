"""The chain of champions: who followed whom and by which decision. Pure; the registry's side is `tracking.aliases`."""

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Kind = Literal["promoted", "rollback", "by hand"]

ALIAS = "champion"
BEGUN = "begun"
"""Key of an entry that was written before the alias moved; it goes once it has."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """One version after another."""

    version: str
    previous: str | None
    """The version that had the alias before; None: nobody."""
    kind: Kind
    """`by hand`: moved outside `promote` and `rollback`, so it passed no gate."""
    time: str = ""
    """ISO 8601, UTC; empty where nobody wrote it down."""
    run_id: str = ""
    by: str = ""
    """user@machine."""
    gated: bool = True
    """The version passed the gates, now or when it was promoted before."""

    def to_dict(self) -> dict[str, Any]:
        """What the registered model's tag and `history --json` hold."""
        return asdict(self)


def move_of(entry: Mapping[str, Any]) -> Move:
    """The move of a written entry; what it lacks is empty, so that an edited tag does not stop the history."""
    previous = entry.get("previous")
    return Move(
        version=str(entry.get("version", "")),
        previous=None if previous is None else str(previous),
        kind=kind if (kind := entry.get("kind")) in ("promoted", "rollback") else "by hand",
        time=str(entry.get("time", "")),
        run_id=str(entry.get("run_id", "")),
        by=str(entry.get("by", "")),
    )


def history(entries: Sequence[Mapping[str, Any]], *, current: str | None) -> list[Move]:
    """Every move, oldest first, with those made by hand put where they must have happened.

    Between two entries somebody moved the alias if the later one's `previous` is not the earlier one's version; after
    the last one, if `current` (the version that has the alias now; None: nobody) is not its version. A move that was
    begun and never done is left out.
    """
    moves: list[Move] = []
    holder: str | None = None
    promoted: set[str] = set()
    for entry in _done(entries, current):
        move = move_of(entry)
        if move.kind == "promoted":
            promoted.add(move.version)
        move = replace(move, gated=move.version in promoted)
        if move.previous != holder:
            moves.append(_by_hand(move.previous, holder))
        moves.append(move)
        holder = move.version
    if current != holder:
        moves.append(_by_hand(current, holder))
    return moves


def _done(entries: Sequence[Mapping[str, Any]], current: str | None) -> list[Mapping[str, Any]]:
    """Without those whose process ended between writing and moving: the alias never came to their version."""
    after = [*(move_of(entry).previous for entry in entries[1:]), current]
    return [
        entry
        for entry, holder in zip(entries, after, strict=False)
        if not entry.get(BEGUN) or holder == move_of(entry).version
    ]


def now() -> str:
    """The time as entries have it."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _by_hand(version: str | None, previous: str | None) -> Move:
    return Move(version=version or "", previous=previous, kind="by hand", gated=False)
