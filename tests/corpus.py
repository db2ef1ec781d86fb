"""One large long-tailed data set of tiny records, written once per session."""

from typing import NamedTuple

import numpy as np
import pytest

from tests import tfrecords

NUM_RECORDS = 100_000


class Corpus(NamedTuple):
    """Records with "image/id" 0..n-1, one "label" of "abcd", many "labels" of "pqrst".

    Attributes:
      files: the TFRecord files.
      single: bool [records, 4], multi-hot "label"; some records have none.
      multi: bool [records, 5], multi-hot "labels"; t never comes without p.
    """

    files: list[str]
    single: np.ndarray
    multi: np.ndarray


@pytest.fixture(scope="session")
def corpus(tmp_path_factory) -> Corpus:
    rng = np.random.default_rng(20_240_501)
    drawn = rng.choice(5, NUM_RECORDS, p=[0.60, 0.25, 0.10, 0.02, 0.03])
    single = np.eye(5, dtype=bool)[drawn][:, :4]
    multi = rng.random((NUM_RECORDS, 5)) < [0.5, 0.2, 0.1, 0.05, 0.02]
    multi[:, 0] |= multi[:, 4]
    letters = [np.array(list(names), "S1").tolist() for names in ("abcd", "pqrst")]
    records = [
        tfrecords.example(
            {
                "image/id": i,
                "label": [l for l, has in zip(letters[0], one) if has],
                "labels": [l for l, has in zip(letters[1], several) if has],
            }
        )
        for i, (one, several) in enumerate(zip(single.tolist(), multi.tolist()))
    ]
    folder = tmp_path_factory.mktemp("corpus")
    return Corpus(tfrecords.spread(folder, records, files=4), single, multi)
