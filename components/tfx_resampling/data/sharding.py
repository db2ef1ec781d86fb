"""Which part of the records each of several workers reads."""

import dataclasses
from typing import List, Tuple


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of `num_shards` parts that together have every record once.

    Parts are of whole files where there are files enough for each; otherwise each part
    has every `num_shards`-th record of every file, which costs reading all of them.

    Attributes:
      num_shards: number of parts.
      index: which of them, from 0.
      by_record: whether to cut every file, even where there are files enough.
    """

    num_shards: int = 1
    index: int = 0
    by_record: bool = False

    def __post_init__(self):
        if not 0 <= self.index < self.num_shards:
            raise ValueError(
                f"index must be from 0 to {self.num_shards - 1}, got {self.index!r}."
            )

    def files(self, num_files: int) -> List[int]:
        """Returns the indices of the files of this part."""
        if self._cuts_files(num_files):
            return list(range(num_files))
        return list(range(self.index, num_files, self.num_shards))

    def of_records(self, num_files: int) -> Tuple[int, int]:
        """Returns (n, i): of its files this part has every n-th record from i."""
        if self._cuts_files(num_files):
            return self.num_shards, self.index
        return 1, 0

    def _cuts_files(self, num_files: int) -> bool:
        return self.by_record or num_files < self.num_shards


WHOLE = Shard()
