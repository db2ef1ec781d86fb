"""Writes resampled records to a directory of shards, whole or not at all.

File names -> sorted runs (`sorting`) -> shards -> one commit (`shards`). What travels
between workers are names of files and counts.
"""

import uuid

import apache_beam as beam
import tensorflow as tf

from tfx_resampling.beam.job import PARTIAL, Job
from tfx_resampling.beam.options import DEFAULTS, ResampleOptions
from tfx_resampling.beam.shards import Commit, PlanShards, WriteShard
from tfx_resampling.beam.sorting import ClassifyFactors, CountFactors, SortFile
from tfx_resampling.core.layout import layout_path
from tfx_resampling.core.plan import Plan


class WriteResampled(beam.PTransform):
    """File names -> a directory of shards; one element, the `core.layout.Layout`.

    Guarantee: "materialize" writes the same multiset as `input_fn` emits, in an order
    that depends on the plan and the records only: copies of a record lie as far from
    each other as they can. "stratify" writes every record once. The shards have the
    same bytes on every run, on any runner, with any number of workers. The directory
    comes into being whole, by one renaming (on object stores: file by file, which the
    manifest beside it makes known); a run that fails leaves none.

    The workers read the files, a file at a time, and share the directory's file system
    for runs of sorted records, which take as much room as what is written. Memory per
    worker: two to three times 128 MB, plus three times a shard.
    """

    def __init__(
        self, plan: Plan, output_dir: str, options: ResampleOptions = DEFAULTS
    ):
        """Makes the transform.

        Args:
          plan: the plan.
          output_dir: the directory, which must not be there yet; local or remote.
          options: see `ResampleOptions`.

        Raises:
          ValueError: `output_dir` exists.
        """
        super().__init__()
        output_dir = output_dir.rstrip("/")
        for path in (output_dir, layout_path(output_dir)):
            if tf.io.gfile.exists(path):
                raise ValueError(
                    f"output_dir must not be there yet, but {path!r} exists. Remove "
                    "it, or write to another directory."
                )
        self._job = Job(
            plan=plan,
            options=options,
            output_dir=output_dir,
            scratch=f"{output_dir}{PARTIAL}{uuid.uuid4().hex[:12]}",
        )

    @property
    def scratch(self) -> str:
        """Directory of what is not finished; removed at the end."""
        return self._job.scratch

    def expand(self, files):
        job = self._job
        if job.options.mode == "stratify":
            files = (
                files
                | "SpreadToCount" >> beam.Reshuffle()
                | "CountFactors" >> beam.ParDo(CountFactors(job))
                | "GatherFactors" >> _Gather()
                | "ClassifyFactors" >> beam.ParDo(ClassifyFactors(job))
            )
        return (
            files
            # Else all files would be read where their names were made.
            | "SpreadFiles" >> beam.Reshuffle()
            | "SortFile" >> beam.ParDo(SortFile(job))
            | "GatherRuns" >> _Gather()
            | "PlanShards" >> beam.ParDo(PlanShards(job))
            | "SpreadShards" >> beam.Reshuffle()
            | "WriteShard" >> beam.ParDo(WriteShard(job))
            | "GatherShards" >> _Gather()
            | "Commit" >> beam.ParDo(Commit(job))
        )


class _Gather(beam.PTransform):
    """Elements -> one list of them all: of files or shards, never of records."""

    def expand(self, elements):
        return (
            elements
            | "ToOne" >> beam.Map(lambda element: (0, element))
            | "Group" >> beam.GroupByKey()
            | "List" >> beam.Map(lambda group: list(group[1]))
        )
