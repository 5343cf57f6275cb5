"""Picture twins, equal byte for byte or nearly, and what of them crosses the splits. For splits and check.

How near is near was judged by eye on 10,725 real faces: of the 289 pairs within a distance of 4, 288 showed
one picture, shifted, recompressed or cut differently (precision .997); of those at 6, about three in four
did.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from emotion_mlflow.data.manifest import Manifest
from emotion_mlflow.data.pictures import NO_PICTURE_HASH

NEAR = 4
"""Bits of 64 that two perceptual hashes may differ in."""

LEAK_COLUMNS = ("id", "other_id", "split", "other_split", "kind", "distance")

_BITS = 64
_CROWD = 200  # near neighbours; a hash with more is no fingerprint but a common pattern
_FULL_BAND = 5000  # hashes with one value in a band; 300,000 real faces reach 1,600
_FULL_LIST = 1000  # pairs of one node that are listed one by one
_HELD_OUT_FIRST = ("test", "validation", "val", "train")


@dataclass(frozen=True, kw_only=True)
class Twins:
    """Which faces show the same picture. A node is all faces of one perceptual hash (or content)."""

    node: np.ndarray
    """(N,) int64: the node of each face, 0..M-1."""
    first: np.ndarray
    """(P,) int64: nodes that are near each other, first < second."""
    second: np.ndarray
    distance: np.ndarray
    """(P,) int64 bits, 1..distance asked for."""
    crowded: int
    """Nodes whose hash is so common a pattern that their near pairs were left out or are incomplete."""

    @property
    def nodes(self) -> int:
        return int(self.node.max()) + 1 if len(self.node) else 0

    def groups(self) -> np.ndarray:
        """(N,) int: equal for faces that a chain of twins connects."""
        return join(len(self.node), [self.node], links=(self.first, self.second))


def find_twins(content_hash: Sequence[str] | pd.Series, picture_hash: np.ndarray, *, distance: int = NEAR) -> Twins:
    """The twins among N faces, from two manifest columns. A flat picture has exact twins only.

    300,000 faces take seconds: two hashes at most `distance` bits apart agree wholly in one of distance + 1
    bands of bits, so only faces that share a band are compared (Manku, Jain, Das Sarma 2007).
    """
    hashes = np.asarray(picture_hash, dtype=np.uint64)
    content = pd.factorize(np.asarray(content_hash, dtype=object))[0]
    flat = hashes == NO_PICTURE_HASH
    values, node = np.unique(hashes[~flat], return_inverse=True)
    nodes = np.empty(len(hashes), dtype=np.int64)
    nodes[~flat] = node
    nodes[flat] = len(values) + np.unique(content[flat], return_inverse=True)[1]
    first, second, crowded = _near(values, distance)
    apart = np.bitwise_count(values[first] ^ values[second]).astype(np.int64)
    return Twins(node=nodes, first=first, second=second, distance=apart, crowded=crowded)


def join(faces: int, labels: Sequence[np.ndarray], *, links: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """(N,) int: groups of faces connected by an equal value in any of `labels`; negatives connect nothing.

    `labels` are (N,) int each; `links` connects values of the first of them.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    heads, tails, offset = [], [], faces
    for position, label in enumerate(labels):
        known = np.flatnonzero(label >= 0)
        heads.append(known)
        tails.append(offset + label[known])
        if position == 0 and links is not None:
            heads.append(offset + links[0])
            tails.append(offset + links[1])
        offset += int(label.max(initial=-1)) + 1
    if not heads:
        return np.arange(faces)
    head, tail = np.concatenate(heads), np.concatenate(tails)
    graph = coo_matrix((np.ones(len(head), dtype=np.int8), (head, tail)), shape=(offset, offset))
    found: np.ndarray = connected_components(graph, directed=False)[1][:faces]
    return found


def leaks(manifest: Manifest, twins: Twins) -> pd.DataFrame:
    """LEAK_COLUMNS: pairs of twins on different sides (`Manifest.sides`); `id` is the held-out one.

    `kind` is `exact` (same bytes and box) or `near`. Of a picture that is there hundreds of times, each
    face is listed with one twin only.
    """
    sides = manifest.sides()
    ids, content = manifest.table["id"].to_numpy(), manifest.table["content_hash"].to_numpy()
    members = _members(twins, sides)
    links = [(node, node, 0) for node in members]
    links += [(int(a), int(b), int(bits)) for a, b, bits in zip(twins.first, twins.second, twins.distance, strict=True)]
    rows = []
    for a, b, bits in links:
        for one, two in _crossing(members, sides, twins, a, b):
            held, other = sorted((one, two), key=lambda face: _rank(sides[face]))
            kind = "exact" if content[held] == content[other] else "near"
            rows.append((ids[held], ids[other], sides[held], sides[other], kind, bits))
    table = pd.DataFrame(rows, columns=list(LEAK_COLUMNS)).drop_duplicates(["id", "other_id"])
    return table.sort_values(["distance", "kind", "id", "other_id"], ignore_index=True)


def leaking(held_out: np.ndarray, twins: Twins) -> np.ndarray:
    """(N,) bool: faces outside `held_out` ((N,) bool) that are a twin of a face inside it."""
    has = np.zeros(twins.nodes, dtype=bool)
    has[twins.node[held_out]] = True
    reach = has.copy()
    reach[twins.second[has[twins.first]]] = True
    reach[twins.first[has[twins.second]]] = True
    return reach[twins.node] & ~held_out


def crossing_identities(manifest: Manifest) -> list[str]:
    """Known identities with faces on more than one side (`Manifest.sides`), in order of name."""
    table = pd.DataFrame({"identity": manifest.table["identity"].to_numpy(), "side": manifest.sides()})
    counts = table[(table["identity"] != "") & (table["side"] != "")].groupby("identity")["side"].nunique()
    return sorted(counts.index[counts > 1])


def _rank(side: object) -> int:
    return _HELD_OUT_FIRST.index(str(side))


def _members(twins: Twins, sides: np.ndarray) -> dict[int, np.ndarray]:
    """Faces by node, for the nodes that a leak can run through."""
    counts = np.bincount(twins.node, minlength=twins.nodes)
    linked = counts > 1
    linked[twins.first] = linked[twins.second] = True
    faces = np.flatnonzero(linked[twins.node] & (sides != ""))
    order = faces[np.argsort(twins.node[faces], kind="stable")]
    nodes, starts = np.unique(twins.node[order], return_index=True)
    return dict(zip(nodes.tolist(), np.split(order, starts[1:]), strict=True)) if len(nodes) else {}


def _crossing(members: dict[int, np.ndarray], sides: np.ndarray, twins: Twins, a: int, b: int) -> list[tuple[int, int]]:
    """Pairs of faces, one of node a and one of node b, that lie on different sides."""
    one, two = members.get(a, np.array([], int)), members.get(b, np.array([], int))
    if len(one) * len(two) <= _FULL_LIST:
        pairs = [(int(x), int(y)) for x in one for y in two if sides[x] != sides[y]]
        return [(x, y) for x, y in pairs if x < y] if a == b else pairs
    pairs = []
    for here, there in ((one, two), (two, one)):
        for face in here:
            others = there[sides[there] != sides[face]]
            pairs += [(int(face), int(others[0]))] if len(others) else []
    return pairs


def _near(values: np.ndarray, distance: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Positions, first < second, in the unique `values` at most `distance` apart; how many are crowded."""
    crowd = np.zeros(len(values), dtype=bool)
    found = [np.empty((0, 2), dtype=np.int64)]
    edges = np.linspace(0, _BITS, distance + 2).round().astype(int)
    for low, high in pairwise(edges):
        band = (values >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        found += _band_pairs(values, band, distance, crowd)
    pairs = np.unique(np.sort(np.concatenate(found), axis=1), axis=0)
    counts = np.bincount(pairs.ravel(), minlength=len(values))
    common = counts > _CROWD
    pairs = pairs[~common[pairs].any(axis=1)]
    crowd |= common
    return pairs[:, 0], pairs[:, 1], int(crowd.sum())


def _band_pairs(values: np.ndarray, band: np.ndarray, distance: int, crowd: np.ndarray) -> list[np.ndarray]:
    """Near pairs of an equal band: each is compared with its next, second next, ... in sorted order."""
    order = np.argsort(band, kind="stable")
    band, hashes = band[order], values[order]
    counts = np.zeros(len(values), dtype=np.int64)
    full = (sizes := np.unique(band, return_counts=True)[1]).repeat(sizes) > _FULL_BAND
    crowd[order[full]] = True
    active, step, found = np.flatnonzero(~full), 1, []
    while len(active):
        active = active[active + step < len(values)]
        active = active[band[active] == band[active + step]]
        near = active[np.bitwise_count(hashes[active] ^ hashes[active + step]) <= distance]
        if len(near):
            found.append(np.column_stack((order[near], order[near + step])))
            counts[near] += 1
            counts[near + step] += 1
            if counts.max() > _CROWD:  # memory: a common pattern would pair with everything
                active = active[counts[active] <= _CROWD]
        step += 1
    return found
