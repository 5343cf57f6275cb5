"""Which faces train, which choose the model, which are scored. Used by the job and `data check`.

A cut depends on the faces and the split seed alone: not on their order on disk, and on no other random
number.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from emotion_mlflow.data.leaks import Twins, join, leaking
from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.errors import DataError

VALIDATION_SHARE = 0.1
TEST_SHARE = 0.1

_CUT, _LIMIT = 1, 2  # streams of random numbers, so that a limit never moves a cut


def cut(
    manifest: Manifest,
    *,
    split_seed: int,
    twins: Twins | None = None,
    limit: int | None = None,
    selected_on_test: bool = False,
    drop_leaks: bool = False,
) -> Manifest:
    """The set with `split` filled in; faces of no split (dropped twins, those beyond `limit`) are gone.

    The set's own validation part is `test`; `val` is a tenth of train, unless the set names its val faces
    itself. A set of one part is cut 80/10/10. With `selected_on_test`, as in the published report, there is
    no `val`: all that is not test trains, and a set of one part is cut 80/20, test holding what would else
    be test and val. Cuts are stratified by expression (no label is a stratum of its own) and keep faces
    together that share an identity or are `twins`. `limit` keeps at most so many faces of each split,
    stratified, the smaller choice inside the larger. `drop_leaks` leaves out training and val faces that
    are twins of a test face, and training faces that are twins of a val face. DataError where a split would be empty.
    """
    order = np.argsort(manifest.table["id"].to_numpy().astype(str), kind="stable")
    splits = np.empty(len(manifest), dtype=object)
    splits[order] = _splits(manifest, twins, split_seed, selected_on_test, order)
    keep = np.ones(len(manifest), dtype=bool)
    if drop_leaks:
        if twins is None:
            raise DataError("twins to drop leaks by", got="none", where=manifest.name)
        keep &= ~leaking(splits == "test", twins)
        keep &= ~(leaking((splits == "val") & keep, twins) & (splits == "train"))
    if limit is not None:
        keep &= _limited(manifest, splits, keep, order, limit, split_seed)
    table = manifest.table.assign(split=pd.Series(splits, index=manifest.table.index, dtype="str"))
    whole = replace(manifest, table=table).rows(keep)
    for name in ("train", "test") if selected_on_test else ("train", "val", "test"):
        if not (whole.table["split"] == name).any():
            raise DataError(f"at least one {name} face", got=f"none of {len(manifest)}", where=manifest.name)
    return whole


def _splits(
    manifest: Manifest, twins: Twins | None, seed: int, selected_on_test: bool, order: np.ndarray
) -> np.ndarray:
    """(N,) names in order of id. One cut serves both ways: published's test is the usual test and val."""
    table = manifest.table.iloc[order]
    groups = _groups(manifest, twins)[order]
    strata = table["expression"].to_numpy()
    part, given = table["part"].to_numpy().astype(str), table["split"].to_numpy().astype(str)
    splits = np.full(len(table), "train", dtype=object)
    if not manifest.two_parts:
        place = _places(strata, groups, seed)
        splits[place < TEST_SHARE + VALIDATION_SHARE] = "test" if selected_on_test else "val"
        splits[place < TEST_SHARE] = "test"
        return splits
    splits[part == "validation"] = "test"
    if selected_on_test:
        return splits
    train = part == "train"
    if (given[train] == "val").any():
        splits[train & (given == "val")] = "val"
    else:
        place = _places(strata[train], groups[train], seed)
        splits[np.flatnonzero(train)[place < VALIDATION_SHARE]] = "val"
    return splits


def _groups(manifest: Manifest, twins: Twins | None) -> np.ndarray:
    """(N,) int: faces that must stay together, by identity and by twin."""
    identity = pd.factorize(manifest.table["identity"].replace("", pd.NA))[0]
    if twins is None:
        return join(len(manifest), [identity])
    return join(len(manifest), [twins.node, identity], links=(twins.first, twins.second))


def _places(strata: np.ndarray, groups: np.ndarray, seed: int) -> np.ndarray:
    """(N,) in 0..1: where each face's group stands in a stratified queue, whose first tenth is a fair tenth.

    Scikit-learn's StratifiedGroupKFold does the same, but takes 0.3 ms a group (3 s for 9,434 faces, a
    minute and a half for AffectNet, at each start) and refuses strata smaller than its folds.
    """
    if not len(strata):
        return np.empty(0)
    kinds, kind = np.unique(strata, return_inverse=True)
    names, first, group = np.unique(groups, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[group]  # number groups by their first face: the order of ids
    counts = np.zeros((len(names), len(kinds)), dtype=np.int64)
    np.add.at(counts, (group, kind), 1)
    size, stratum = counts.sum(axis=1), counts.argmax(axis=1)
    shuffled = np.random.default_rng([seed, _CUT]).permutation(len(names))
    queue = shuffled[np.argsort(_middle(size[shuffled], stratum[shuffled]), kind="stable")]
    place = np.empty(len(names))
    place[queue] = _middle(size[queue], np.zeros(len(names), dtype=np.int64))
    return place[group]


def _middle(size: np.ndarray, stratum: np.ndarray) -> np.ndarray:
    """Where the middle of each entry lies, 0..1, when its stratum stands in line in the order given."""
    middle = np.empty(len(size))
    for kind in np.unique(stratum):
        of_kind = stratum == kind
        sizes = size[of_kind]
        middle[of_kind] = (np.cumsum(sizes) - sizes / 2) / sizes.sum()
    return middle


def _limited(
    manifest: Manifest, splits: np.ndarray, keep: np.ndarray, order: np.ndarray, limit: int, seed: int
) -> np.ndarray:
    """(N,) bool: at most `limit` of the kept faces of each split."""
    if limit < 1:
        raise DataError("a limit of at least 1 face", got=limit)
    strata = manifest.table["expression"].to_numpy()
    shuffled = order[np.random.default_rng([seed, _LIMIT]).permutation(len(order))]
    chosen = np.zeros(len(order), dtype=bool)
    for name in ("train", "val", "test"):
        faces = shuffled[(splits[shuffled] == name) & keep[shuffled]]
        queue = np.argsort(_middle(np.ones(len(faces)), strata[faces]), kind="stable")
        chosen[faces[queue[:limit]]] = True
    return chosen
