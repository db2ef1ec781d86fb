"""Files that Beam writes have what the graph emits of the files they are made of."""

import glob
import os
import pathlib
import tempfile
from collections import Counter

import apache_beam as beam
import pytest
import tensorflow as tf
from tfx_resampling.beam import ResampleOptions
from tfx_resampling.beam.write import write_resampled
from tfx_resampling.options import InputOptions
from tfx_resampling.stream.input_fn import input_fn

from tests import plans, tfrecords
from tests.fuzz.fuzzing import MINUTES, fuzz, st

pytestmark = pytest.mark.skipif(not MINUTES, reason="make fuzz: each takes seconds")

LABELS = st.lists(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=4),
    min_size=2,
    max_size=4,
    unique=True,
)
PLACES = st.lists(
    st.lists(st.integers(0, 3), max_size=3, unique=True), min_size=5, max_size=60
)
FACTORS = st.lists(st.floats(0, 4), min_size=4, max_size=4)


def emitted(files, plan, **options) -> Counter:
    dataset = input_fn(
        files, plan, batch_size=16, image=None, options=InputOptions(**options)
    )
    batches = tfrecords.read(dataset)
    return Counter(record for x, _ in batches for record in x["record"])


@fuzz(
    2,
    labels=LABELS,
    places=PLACES,
    factors=FACTORS,
    seed=st.integers(0, 2**63 - 1),
    schedule=st.sampled_from(["constant", "linear:3", "step:2"]),
    epochs=st.tuples(st.integers(0, 4), st.integers(1, 3)),
    num_files=st.integers(1, 3),
    num_shards=st.integers(1, 5),
)
def test_shards_have_what_is_emitted(
    labels, places, factors, seed, schedule, epochs, num_files, num_shards
):
    found = [[labels[i].encode() for i in row if i < len(labels)] for row in places]
    records = [
        tfrecords.example({"image/id": i, "label": row}) for i, row in enumerate(found)
    ]
    plan = plans.make(labels, factors[: len(labels)], seed=seed).scheduled(schedule)
    which = dict(start_epoch=epochs[0], epochs=epochs[1])
    with tempfile.TemporaryDirectory() as folder:
        files = tfrecords.spread(pathlib.Path(folder), records, num_files)
        expected = emitted(files, plan, **which)
        samples, sorted_ones = (os.path.join(folder, name) for name in ("all", "like"))
        options = ResampleOptions(num_shards=num_shards, **which)
        write_resampled({samples: files}, plan, options, beam.Pipeline)
        written = tf.data.TFRecordDataset(sorted(glob.glob(f"{samples}/*")))
        assert Counter(written.as_numpy_iterator()) == expected
        options = ResampleOptions(mode="stratify")
        write_resampled({sorted_ones: files}, plan, options, beam.Pipeline)
        written = sorted(glob.glob(f"{sorted_ones}/*"))
        assert Counter(tf.data.TFRecordDataset(written).as_numpy_iterator()) == Counter(
            records
        )
        assert emitted(written, plan, **which) == expected
