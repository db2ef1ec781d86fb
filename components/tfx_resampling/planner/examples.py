"""Examples of a pipeline -> label counts with label sets, by Beam."""

import os
import pickle
from typing import Callable, Counter, List, Sequence

import apache_beam as beam
from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from tfx_resampling.beam import CountLabelSets
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.strata import ColumnSpec
from tfx_resampling.data import count
from tfx_resampling.data import files as files_lib
from tfx_resampling.examples import split_files


def label_counts(
    examples: List[types.Artifact],
    split: str,
    label_key: str,
    strata: Sequence[ColumnSpec],
    make_pipeline: Callable[[], beam.Pipeline],
    scratch: str,
) -> LabelCounts:
    """Returns exact counts of label sets, or strata, of a split of examples.

    Args:
      examples: Examples artifacts, raw or transformed, gzip or plain.
      split: name of the split.
      label_key: the label feature, bytes or int64.
      strata: columns of strata, all boundaries known; empty to count label sets.
      make_pipeline: makes the Beam pipeline that counts.
      scratch: directory, reachable from the workers, for the counts.

    Raises:
      ValueError: another payload format than tf.train.Example, a split that is not
        there, no records, or a feature that cannot be counted.
    """
    files = split_files(examples, split)
    compressions = files_lib.compression_types(files, "auto")
    spec = count.find_spec(files, compressions, label_key, strata)
    counted = _count(files, spec, make_pipeline, scratch)
    return count.to_label_counts(
        counted,
        spec,
        {"examples": artifact_utils.get_split_uris(examples, split), "split": split},
    )


def _count(files, spec: count.CountSpec, make_pipeline, scratch: str) -> Counter:
    """Runs the pipeline; the result comes back by a file, as from any runner."""
    path = os.path.join(scratch, "label_sets.pickle")
    with make_pipeline() as pipeline:
        _ = (
            pipeline
            | "FileNames" >> beam.Create(files)
            | "CountLabelSets" >> CountLabelSets(spec)
            | "Write" >> beam.Map(_write, path)
        )
    # Written by our own workers a moment ago, so unpickling it is safe.
    with fileio.open(path, "rb") as file:
        counted = pickle.loads(file.read())
    fileio.remove(path)
    return counted


def _write(counted, path):
    with fileio.open(path, "wb") as file:
        file.write(pickle.dumps(counted))
