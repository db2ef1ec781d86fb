"""Examples of a pipeline -> label counts with label sets, by Beam."""

import collections
import json
import os
from typing import Callable, Counter, List

import apache_beam as beam
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.io import fileio
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from tfx_resampling.beam import CountLabelSets
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.data import count, records
from tfx_resampling.data.features import Features


def label_counts(
    examples: List[types.Artifact],
    split: str,
    label_key: str,
    make_pipeline: Callable[[], beam.Pipeline],
    scratch: str,
) -> LabelCounts:
    """Returns exact label counts and label sets of a split of examples.

    Args:
      examples: Examples artifacts, raw or transformed, gzip or plain.
      split: name of the split.
      label_key: the label feature, bytes or int64.
      make_pipeline: makes the Beam pipeline that counts.
      scratch: directory, reachable from the workers, for the counts.

    Raises:
      ValueError: another payload format than tf.train.Example, a split that is not
        there, no records, or a label feature that cannot be counted.
    """
    for artifact in examples:
        payload = examples_utils.get_payload_format(artifact)
        if payload != example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE:
            name = example_gen_pb2.PayloadFormat.Name(payload)
            raise ValueError(
                f"examples at {artifact.uri!r} have the payload format {name}; labels "
                "are counted in FORMAT_TF_EXAMPLE."
            )
        splits = artifact_utils.decode_split_names(artifact.split_names)
        if split not in splits:
            raise ValueError(
                f"split {split!r} is not in the examples at {artifact.uri!r}, which "
                f"have {splits}."
            )
    uris = artifact_utils.get_split_uris(examples, split)
    files = records.match_files([os.path.join(uri, "*") for uri in uris])
    compressions = records.compression_types(files, "auto")
    label_dtype = Features(files, compressions).label_dtype(label_key)
    sets = _count(files, label_key, label_dtype, make_pipeline, scratch)
    source = {"examples": uris, "split": split}
    return count.to_label_counts(sets, label_key, label_dtype, source)


def _count(files, label_key, label_dtype, make_pipeline, scratch) -> Counter:
    """Runs the pipeline; the result comes back by a file, as from any runner."""
    path = os.path.join(scratch, "label_sets.json")
    with make_pipeline() as pipeline:
        _ = (
            pipeline
            | "FileNames" >> beam.Create(files)
            | "CountLabelSets" >> CountLabelSets(label_key, label_dtype)
            | "Write" >> beam.Map(_write, path)
        )
    with fileio.open(path, "rb") as file:
        rows = json.loads(file.read())
    fileio.remove(path)
    is_bytes = label_dtype == "bytes"
    return collections.Counter(
        {
            tuple(v.encode("latin-1") if is_bytes else v for v in values): n
            for values, n in rows
        }
    )


def _write(sets, path):
    # Latin-1 is a bijection of bytes and characters, so labels come back as they were.
    rows = [
        [[v.decode("latin-1") if isinstance(v, bytes) else v for v in values], n]
        for values, n in sets.items()
    ]
    with fileio.open(path, "wb") as file:
        file.write(json.dumps(rows).encode())
