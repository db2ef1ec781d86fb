"""Writes resampled directories; where that fails, nothing is left behind."""

import errno
import re
import uuid
from collections.abc import Callable, Mapping, Sequence

import apache_beam as beam
import tensorflow as tf

from tfx_resampling.beam.external_sort import (
    PARTIAL,
    ClassifyFactors,
    CountFactors,
    Job,
    SortFile,
)
from tfx_resampling.beam.resample_options import DEFAULTS, ResampleOptions
from tfx_resampling.beam.shard_files import (
    Commit,
    ListShards,
    MergeRuns,
    PlanShards,
    WriteShard,
)
from tfx_resampling.beam.split import SplitFiles
from tfx_resampling.core.plan import Plan
from tfx_resampling.decision.agreement import check_first_labels
from tfx_resampling.errors import reason
from tfx_resampling.records.files import RecordFiles, check_positions
from tfx_resampling.shards.manifest import Manifest, manifest_path, read_manifest


class WriteResampled(beam.PTransform):
    """File names -> a directory of shards; one element, the `Manifest`.

    Guarantee: "materialize" writes the same multiset as `input_fn` emits, in an order
    that depends on the plan and the records only: copies of a record lie as far from
    each other as they can. "stratify" writes every record once. The shards have the
    same bytes on every run, on any runner, with any number of workers. The directory
    comes into being whole, by one renaming (on object stores: file by file, which the
    manifest beside it makes known); a run that fails leaves none.

    The workers read the files, large ones in parts, and share the directory's file
    system for runs of sorted records, which take as much room as what is written; twice
    as much from 64 GB on, where runs are merged first. Memory per worker: two to three
    times 128 MB, plus three times a shard.
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
          ValueError: `output_dir` exists, or records are to be stratified that are
            known by their position.
        """
        super().__init__()
        if options.mode == "stratify" and plan.identity == "position":
            raise ValueError(
                "mode must be 'materialize' with identity='position', got 'stratify', "
                "which puts records into other positions. Set key_features."
            )
        output_dir = output_dir.rstrip("/")
        for path in (output_dir, manifest_path(output_dir)):
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

    def expand(self, files):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Sorts the files' records into runs, and makes shards of these."""
        job = self._job
        parts = files | "SplitFiles" >> SplitFiles(job.options.on_corrupt)
        if job.options.mode == "stratify":
            parts = (
                parts
                | "CountFactors" >> beam.ParDo(CountFactors(job))
                | "GatherFactors" >> _Gather()
                | "ClassifyFactors" >> beam.ParDo(ClassifyFactors(job))
                # Else all would be read where they were gathered.
                | "SpreadParts" >> beam.Reshuffle()
            )
        return (
            parts
            | "SortFile" >> beam.ParDo(SortFile(job))
            | "GatherRuns" >> _Gather(always=True)
            | "PlanShards" >> beam.ParDo(PlanShards(job))
            | "SpreadRuns" >> beam.Reshuffle()
            | "MergeRuns" >> beam.ParDo(MergeRuns(job))
            | "GatherMerged" >> _Gather()
            | "ListShards" >> beam.ParDo(ListShards(job))
            | "SpreadShards" >> beam.Reshuffle()
            | "WriteShard" >> beam.ParDo(WriteShard(job))
            | "GatherShards" >> _Gather()
            | "Commit" >> beam.ParDo(Commit(job))
        )


class _Gather(beam.PTransform):
    """Elements -> one list of them all: of files or shards, never of records."""

    def __init__(self, always: bool = False):
        """Makes the transform; without `always` there is no list of no elements."""
        super().__init__()
        self._always = always

    def expand(self, elements):  # pyright: ignore[reportIncompatibleMethodOverride]
        if self._always:
            # No side input as in Beam's own ToList, which not all runners have.
            end = elements.pipeline | "End" >> beam.Create([None])
            elements = (elements, end) | "WithEnd" >> beam.Flatten()
        return (
            elements
            | "ToOne" >> beam.Map(lambda element: (0, element))
            | "Group" >> beam.GroupByKey()
            | "List"
            >> beam.Map(lambda group: [each for each in group[1] if each is not None])
        )


_FULL = "No space left on device"
# The last error of a chain of them, as workers print it: "module.Error: text [while".
_CAUSE = re.compile(
    r"(?:^|\n)[\w.]*?(\w+(?:Error|Exception)): (.+?)(?= \[while running|\n\n|$)", re.S
)
# Those that say what is wrong with the input.
_OF_INPUT = ("ValueError", "InvalidArgumentError", "NotFoundError", "DataLossError")


def write_resampled(
    outputs: Mapping[str, Sequence[str]],
    plan: Plan,
    options: ResampleOptions,
    make_pipeline: Callable[[], beam.Pipeline],
) -> dict[str, Manifest]:
    """Resamples files into directories, in one Beam pipeline.

    Guarantee: when it returns, all directories are whole. When it raises, none of them
    is there, nor anything unfinished. What a process that was killed has left beside
    them is removed first.

    Args:
      outputs: directory to write -> the files whose records go there.
      plan: the plan.
      options: see `ResampleOptions`.
      make_pipeline: makes the Beam pipeline that does it.

    Returns:
      directory -> what was written.

    Raises:
      ValueError: a directory that exists, records that cannot be used or are not such
        as the plan was made for, or none to write.
      OSError: the disk is full (ENOSPC).
      RuntimeError: the job failed for another reason, such as a worker that was killed.
    """
    for names in outputs.values():
        skip = options.on_corrupt == "skip"
        check_first_labels(RecordFiles(tuple(names), skip=skip), plan)
        check_positions(names, plan.known_by)
    for output_dir in outputs:
        _remove(tf.io.gfile.glob(_escaped(output_dir) + PARTIAL + "*"))
    writes = {
        output_dir: WriteResampled(plan, output_dir, options) for output_dir in outputs
    }
    try:
        pipeline = make_pipeline()
        for number, (output_dir, write) in enumerate(writes.items()):
            _ = (
                pipeline
                # Names; the workers read what they name.
                | f"Files{number}" >> beam.Create(list(outputs[output_dir]))
                | f"WriteResampled{number}" >> write
            )
        pipeline.run().wait_until_finish()
        found = {output_dir: read_manifest(output_dir) for output_dir in outputs}
    except BaseException as error:
        for output_dir, write in writes.items():
            _remove([write.scratch, manifest_path(output_dir), output_dir])
        if not isinstance(error, Exception):
            raise  # Ctrl-C.
        text = str(error)
        if KeyboardInterrupt.__name__ in text:  # Beam makes an error of it.
            raise KeyboardInterrupt from error
        if _FULL in text:
            raise OSError(
                errno.ENOSPC,
                f"{_FULL} while writing {' and '.join(outputs)}. What is written takes "
                "twice its size until it is finished. Nothing of it was kept",
            ) from error
        raise _cause(error) from error
    return {output_dir: manifest for output_dir, manifest in found.items() if manifest}


def _cause(error: Exception) -> Exception:
    """Returns the error of a worker as one of this process, without where it was."""
    text = str(error)
    if (words := reason(error)) != text:
        return ValueError(words)
    causes = _CAUSE.findall(text)
    kind, text = causes[-1] if causes else (type(error).__name__, text)
    text = re.sub(r" \[while running.*", "", text, flags=re.S)
    if kind in _OF_INPUT:
        return ValueError(text)
    return RuntimeError(f"the Beam job failed, and nothing of it was kept: {text}")


def _remove(paths: Sequence[str]) -> None:
    for path in paths:
        if tf.io.gfile.isdir(path):
            tf.io.gfile.rmtree(path)
        elif tf.io.gfile.exists(path):
            tf.io.gfile.remove(path)


def _escaped(path: str) -> str:
    return re.sub(r"([\[\]*?])", r"\\\1", path)
