"""Two long-tailed data sets that need no download, as arrays.

"digits": the demo's scenes of scikit-learn's handwritten digits, of none to three
labels that come together. "characters": the general category of the characters of
Unicode 3.2 (which all versions of Python have, `unicodedata.ucd_3_2_0`) by the words of
their names; real data of one label, of 3,000 and fewer than 20 characters.
"""

import collections
import dataclasses
import unicodedata
import zlib

import numpy as np
import tfx_resampling as tr
from tfx_resampling.core.counts import LabelSets
from tfx_resampling.core.factors import record_factors

from pipelines import demo_data

# Words of names are hashed to so many places.
_PLACES = 512
# Characters with a name of their own; others are numbered (CJK, Hangul).
_NUMBERED = ("CJK", "HANGUL SYLLABLE", "YI SYLLABLE")
# Categories of fewer characters cannot be both trained and tested.
_FEWEST = 10


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Records in memory.

    Attributes:
      x: float32 [n, ...], what a model gets.
      y: float32 [n, labels], 1 where a record has a label.
    """

    x: np.ndarray
    y: np.ndarray

    def label_counts(self, labels: tuple[str, ...]) -> tr.LabelCounts:
        """Returns the counts of the split, with label sets."""
        rows, weights = np.unique(self.y.astype(bool), axis=0, return_counts=True)
        return tr.LabelCounts(
            "label",
            labels,
            tuple(int(n) for n in self.y.sum(axis=0)),
            num_records=len(self.y),
            num_unlabeled=int((self.y.sum(axis=1) == 0).sum()),
            multi_label=bool(rows.sum(axis=1).max() > 1),
            label_sets=LabelSets.from_sets(
                [np.flatnonzero(row).tolist() for row in rows], weights.tolist()
            ),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class DataSet:
    """A data set of natural, long-tailed splits.

    Attributes:
      name: "digits" or "characters".
      labels: names of the labels.
      train: what is resampled.
      test: what all arms are measured on.
    """

    name: str
    labels: tuple[str, ...]
    train: Split
    test: Split


def factors(plan: tr.Plan, y: np.ndarray) -> np.ndarray:
    """Returns float64 [n], the final repeat factor of each record.

    Args:
      plan: of the same labels.
      y: float32 [n, labels], 1 where a record has a label.
    """
    rows = [np.flatnonzero(row).tolist() for row in y]
    sets = LabelSets.from_sets(rows, [1.0] * len(y))
    return record_factors(np.array(plan.factors), sets, plan.rule)


def load(name: str, num_records: int) -> DataSet:
    """Returns a data set, of up to so many training records.

    Raises:
      ValueError: another name.
    """
    if name not in _LOADERS:
        raise ValueError(f"data must be one of {list(_LOADERS)}, got {name!r}.")
    return _LOADERS[name](num_records)


def _digits(num_records: int) -> DataSet:
    rng = np.random.default_rng(0)
    splits = []
    for pools, count in zip(
        demo_data.digit_pools(rng), (num_records, num_records // 3)
    ):
        images, scenes = demo_data.scenes(count, pools, rng)
        y = np.zeros((count, len(demo_data.LABELS)), np.float32)
        for row, scene in zip(y, scenes):
            row[scene] = 1
        splits.append(Split(images.astype(np.float32) / 255, y))
    return DataSet("digits", demo_data.LABELS, *splits)


def _characters(num_records: int) -> DataSet:
    database = unicodedata.ucd_3_2_0
    found = []
    for code in range(0x110000):
        name = database.name(chr(code), "")
        if name and not name.startswith(_NUMBERED):
            found.append((name, database.category(chr(code))))
    sizes = collections.Counter(category for _, category in found)
    labels = tuple(sorted(c for c, size in sizes.items() if size >= _FEWEST))
    found = [one for one in found if one[1] in labels]
    rng = np.random.default_rng(0)
    order = rng.permutation(len(found))
    test, train = np.split(order, [len(order) // 3])
    splits = []
    for chosen in (train[:num_records], test):
        x = np.zeros((len(chosen), _PLACES), np.float32)
        y = np.zeros((len(chosen), len(labels)), np.float32)
        for i, number in enumerate(chosen):
            name, category = found[number]
            places = [zlib.crc32(w.encode()) % _PLACES for w in name.split()]
            x[i, places] = 1
            y[i, labels.index(category)] = 1
        splits.append(Split(x, y))
    return DataSet("characters", labels, *splits)


_LOADERS = {"digits": _digits, "characters": _characters}
