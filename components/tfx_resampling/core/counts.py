"""The natural distribution A: how often each label occurs, and with which others."""

import dataclasses
import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from tfx_resampling.core.groups import Grouping
from tfx_resampling.core.sharing import Duplicates
from tfx_resampling.validate import check_choice

LABEL_DTYPES = ("bytes", "int64")


@dataclasses.dataclass(frozen=True, eq=False)
class LabelSets:
    """Distinct label sets and how many records have each, in compressed sparse rows.

    Attributes:
      indptr: int64 [sets + 1]; set i has labels indices[indptr[i]:indptr[i + 1]].
      indices: int64 [nonzeros], label indices, each at most once per set.
      weights: float64 [sets], number of records with exactly this label set.
    """

    indptr: np.ndarray
    indices: np.ndarray
    weights: np.ndarray

    @classmethod
    def from_sets(
        cls, sets: Sequence[Sequence[int]], weights: Sequence[float]
    ) -> "LabelSets":
        """Builds from lists of label indices; a label twice in a set counts once."""
        rows = [list(dict.fromkeys(row)) for row in sets]
        lengths = [len(row) for row in rows]
        return cls(
            indptr=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            indices=np.array([i for row in rows for i in row], np.int64),
            weights=np.asarray(weights, np.float64),
        )

    @classmethod
    def from_mapping(cls, table: Mapping[str, float]) -> "LabelSets":
        """Builds from what `to_mapping` gave.

        Raises:
          ValueError: a key that is not made of integers.
        """
        rows = [[int(index) for index in key.split()] for key in table]
        return cls.from_sets(rows, list(table.values()))

    def to_mapping(self) -> dict[str, float]:
        """Returns label indices -> records, most records first: "0 3" -> 120.

        The key of records without a label is "". Weights have six digits, whole ones
        all of theirs.
        """
        found = sorted(
            (-weight, sorted(row.tolist()))
            for row, weight in zip(self._rows(), self.weights.tolist())
        )
        return {
            " ".join(map(str, row)): round(-weight)
            if weight == round(weight)
            else float(f"{-weight:.6g}")
            for weight, row in found
        }

    def _rows(self) -> list[np.ndarray]:
        """Returns the labels of each set."""
        return np.split(self.indices, self.indptr[1:-1])

    def sampled(self, most: int, counts: np.ndarray) -> "LabelSets":
        """Returns at most so many sets, whose weights stand for all of them.

        What is a sum over records has the same expectation as with all sets. The chance
        of a set is proportional to its weight over the counts of its labels, summed
        over these, so that rare labels are in the sample; sets whose chance would be
        above 1, and the one without labels, are taken as they are (Horvitz and
        Thompson, A Generalization of Sampling Without Replacement From a Finite
        Universe, JASA 1952). The same sets give the same sample: it takes a set at each
        unit of the summed chances, sets in the order of their rarest label.

        Args:
          most: number of sets.
          counts: float64 [labels], occurrences of each label.
        """
        if len(self.weights) <= most:
            return self
        owner = np.repeat(np.arange(len(self.weights)), self.lengths)
        rarity = 1.0 / np.maximum(counts, 1.0)[self.indices]
        shares = self.weights * np.bincount(owner, rarity, len(self.weights))
        chances = np.where(self.lengths, 0.0, 1.0)
        while True:
            certain = chances >= 1
            rest = shares[~certain].sum()
            chances = np.where(certain, 1, shares * (most - certain.sum()) / rest)
            if ((chances >= 1) == certain).all():
                break
        rarest = np.full(len(self.weights), np.inf)
        np.minimum.at(rarest, owner, counts[self.indices])
        order = np.lexsort((-self.weights, rarest))
        steps = np.floor(np.cumsum(chances[order]) + 0.5)
        is_taken = np.zeros(len(order), bool)
        is_taken[order] = np.diff(steps, prepend=0) > 0
        taken = np.flatnonzero(is_taken | certain)
        rows = self._rows()
        return LabelSets.from_sets(
            [rows[i] for i in taken], self.weights[taken] / chances[taken]
        )

    @property
    def lengths(self) -> np.ndarray:
        """int64 [sets], number of labels of each set."""
        return np.diff(self.indptr)

    def matrix(self, num_labels: int) -> Any:
        """Returns a SciPy CSR matrix, float64 [sets, labels]: 1 where a set has it."""
        # Any: SciPy's stubs do not know what slicing a sparse matrix gives.
        return scipy.sparse.csr_matrix(
            (np.ones(len(self.indices)), self.indices, self.indptr),
            shape=(len(self.weights), num_labels),
        )

    def label_totals(self, values: np.ndarray, num_labels: int) -> np.ndarray:
        """Returns float64 [labels]: `values` [sets] summed over the sets of a label."""
        return np.bincount(
            self.indices, np.repeat(values, self.lengths), minlength=num_labels
        )


@dataclasses.dataclass(frozen=True)
class LabelCounts:
    """What is known of the labels of one split before anything is planned.

    Attributes:
      label_key: name of the label feature.
      groups: the distinct labels. Integer labels in decimal.
      counts: occurrences of each label, >= 0.
      num_records: number of records, unlabeled ones included.
      num_unlabeled: records without a label.
      unlabeled_known: whether these are all of them.
      label_dtype: "bytes" or "int64", the type of the feature in the records.
      multi_label: whether a record can have more than one label.
      classes: the values of the label feature; the same as `groups`, if empty.
      grouping: the groups, where `groups` are those in words and not labels.
      label_sets: how labels occur together, where that is known.
      pairs: float64 [labels, labels], how many records have both labels; where that is
        all that is known of how labels occur together.
      duplicates: how many records share an identity, where that is known.
      notes: what a reader of a plan made from these counts must know.
      source: provenance, JSON types only.

    Raises:
      ValueError: no labels, or counts that do not fit together.
    """

    label_key: str
    groups: tuple[str, ...]
    counts: tuple[int, ...]
    num_records: int
    num_unlabeled: int = 0
    unlabeled_known: bool = True
    label_dtype: str = "bytes"
    multi_label: bool = False
    classes: tuple[str, ...] = ()
    grouping: Grouping | None = None
    label_sets: LabelSets | None = None
    pairs: np.ndarray | None = dataclasses.field(default=None, compare=False)
    duplicates: Duplicates | None = None
    notes: tuple[str, ...] = ()
    source: Mapping = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        # Plain integers, which JSON takes, of whatever integers came.
        counts = tuple(operator.index(count) for count in self.counts)
        object.__setattr__(self, "counts", counts)
        if not self.classes:
            object.__setattr__(self, "classes", self.groups)
        where = f"label feature {self.label_key!r}"
        if len(self.groups) != len(self.counts):
            raise ValueError(
                f"{where}: {len(self.groups)} labels but {len(self.counts)} counts."
            )
        if len(set(self.groups)) != len(self.groups):
            raise ValueError(f"{where}: groups must be distinct, got {self.groups!r}.")
        if any(count < 0 for count in self.counts):
            raise ValueError(f"{where}: counts must be >= 0, got {self.counts!r}.")
        if not any(self.counts):
            raise ValueError(
                f"{where} has no labels: {self.num_records} records, "
                f"{self.num_unlabeled} of them unlabeled. Is it the right feature?"
            )
        if not 0 <= self.num_unlabeled < self.num_records:
            raise ValueError(
                f"{where}: num_unlabeled must be from 0 to below num_records = "
                f"{self.num_records}, got {self.num_unlabeled}."
            )
        check_choice("label_dtype", self.label_dtype, LABEL_DTYPES)

    def with_labels(self, labels: Sequence[str]) -> "LabelCounts":
        """Returns these counts with further labels, which have count 0.

        Counts of groups are returned as they are.
        """
        if self.grouping is not None:
            return self
        count_of = dict(zip(self.groups, self.counts))
        added = set(labels) - set(count_of)
        if not added:
            return self
        ordered = sorted({*self.groups, *added}, key=label_order(self.label_dtype))
        index = {label: i for i, label in enumerate(ordered)}
        moved = np.array([index[label] for label in self.groups])
        label_sets, pairs = self.label_sets, self.pairs
        if pairs is not None:
            pairs = np.zeros((len(ordered), len(ordered)))
            pairs[np.ix_(moved, moved)] = self.pairs
        if label_sets is not None:
            label_sets = dataclasses.replace(
                label_sets, indices=moved[label_sets.indices]
            )
        duplicates = self.duplicates
        if duplicates is not None:
            inflation = dict(zip(self.groups, duplicates.inflation))
            duplicates = dataclasses.replace(
                duplicates,
                inflation=tuple(inflation.get(label, 1.0) for label in ordered),
            )
        return dataclasses.replace(
            self,
            duplicates=duplicates,
            groups=tuple(ordered),
            classes=tuple(ordered),
            counts=tuple(count_of.get(label, 0) for label in ordered),
            label_sets=label_sets,
            pairs=pairs,
        )

    def plus(self, other: "LabelCounts") -> "LabelCounts":
        """Returns the counts of both data sets together, as far as both are known.

        Raises:
          ValueError: counts of groups, or of another label feature or type.
        """
        for name in ("label_key", "label_dtype"):
            if getattr(self, name) != getattr(other, name):
                raise ValueError(
                    f"{name} must be the same in all splits, got "
                    f"{getattr(self, name)!r} and {getattr(other, name)!r}."
                )
        if self.grouping or other.grouping or self.label_sets or other.label_sets:
            raise ValueError("counts of groups or label sets cannot be added.")
        one, two = self.with_labels(other.groups), other.with_labels(self.groups)
        pairs = None
        if self.multi_label or other.multi_label:
            both = [one._known_pairs(), two._known_pairs()]
            pairs = None if both[0] is None or both[1] is None else both[0] + both[1]
        sources = [
            *self.source.get("together", [self.source]),
            *other.source.get("together", [other.source]),
        ]
        return dataclasses.replace(
            one,
            counts=tuple(a + b for a, b in zip(one.counts, two.counts)),
            num_records=one.num_records + two.num_records,
            num_unlabeled=one.num_unlabeled + two.num_unlabeled,
            unlabeled_known=one.unlabeled_known and two.unlabeled_known,
            multi_label=one.multi_label or two.multi_label,
            pairs=pairs,
            duplicates=None,
            notes=tuple(dict.fromkeys((*one.notes, *two.notes))),
            source={"together": [dict(source) for source in sources]},
        )

    def _known_pairs(self) -> np.ndarray | None:
        if self.multi_label:
            return self.pairs
        return np.diag(np.array(self.counts, np.float64))

    def together(self, chosen: Sequence[int]) -> np.ndarray | None:
        """Returns how many records have both of two labels.

        Args:
          chosen: indices of the labels that are wanted.

        Returns:
          float64 [chosen, chosen], the labels' counts on the diagonal; None where it is
          not known, or records have one label at the most.
        """
        if not self.multi_label or self.grouping is not None:
            return None
        counts = np.array(self.counts, np.float64)[list(chosen)]
        if self.label_sets is None:
            if self.pairs is None:
                return None
            both = np.array(self.pairs, np.float64)[np.ix_(chosen, chosen)]
        else:
            sets = self.label_sets
            column = np.full(len(self.groups), -1)
            column[list(chosen)] = np.arange(len(chosen))
            columns = column[sets.indices]
            owner = np.repeat(np.arange(len(sets.weights)), sets.lengths)
            member = np.zeros((len(sets.weights), len(chosen)))
            member[owner[columns >= 0], columns[columns >= 0]] = 1.0
            both = member.T @ (member * sets.weights[:, None])
        np.fill_diagonal(both, counts)
        return both

    @functools.cached_property
    def known_sets(self) -> LabelSets | None:
        """The label sets, single labels being sets by themselves; None if unknown."""
        if self.label_sets is not None or self.multi_label:
            return self.label_sets
        singles = [[i] for i in range(len(self.groups))]
        weights = [*map(float, self.counts), float(self.num_unlabeled)]
        return LabelSets.from_sets([*singles, []], weights)

    @property
    def num_labeled(self) -> int:
        """Number of records with at least one label."""
        return self.num_records - self.num_unlabeled


def label_order(label_dtype: str):
    """Returns the sort key of labels: by number for integers, else by name.

    Not by frequency: the order is that of a model's outputs, which must not change
    when another day's data ranks two labels the other way round.
    """
    return int if label_dtype == "int64" else str
