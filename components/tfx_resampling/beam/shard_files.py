"""Sorted runs -> shards, which are put into place together."""

import os
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfx_resampling.beam.external_sort import (
    SHARDS,
    SHARDS_DIR,
    JobDoFn,
    Merging,
    merge_runs,
    read_buckets,
    write_contents,
    write_pieces,
    write_whole,
)
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.scan.decide import COUNTS, check_agreement
from tfx_resampling.shards import classes
from tfx_resampling.shards.manifest import (
    RECORDS_PREFIX,
    SAMPLES_PREFIX,
    Manifest,
    manifest_path,
    read_manifest,
    rule_digest,
)

# What goes through `MergeRuns` where there is nothing to merge.
_NOTHING = (-1, -1)


class PlanShards(JobDoFn):
    """All `Sorted` -> tasks of `MergeRuns`; writes what is to be in the shards."""

    def process(self, parts):
        """Decides how many shards there are, and which buckets go to each."""
        job = self._job
        if not parts:
            raise ValueError(
                f"nothing to write to {job.output_dir!r}: there are no names of files. "
                "Did the pattern match any?"
            )
        in_all = np.sum([part.found for part in parts], axis=0)
        names = sorted({part.name for part in parts})
        check_agreement(job.plan, RecordFiles(tuple(names), skip=True), in_all)
        found = [run for part in parts for run in part.runs]
        counts = {
            name: sum(part.counts.get(name, 0) for part in parts) for name in COUNTS
        }
        if not found:
            raise ValueError(
                f"nothing to write to {job.output_dir!r}: of {counts['read']} records "
                "the plan emits none."
            )
        is_gzip = job.options.compression == "GZIP"
        if job.options.compression == "auto":
            is_gzip = any(part.is_gzip for part in parts)
        num_bytes = sum(run.num_bytes for run in found)
        if job.options.mode == "stratify":
            made = job.classes()
            num_buckets = made.num_cells
            cells = _present([part.buckets for part in parts], num_buckets)
            bounds = [(cell, cell + 1) for cell in cells]
            columns = zip(*map(made.describe, cells))
            names = ("classes", "lows", "highs", "first_uniforms", "last_uniforms")
            fields = dict(zip(names, map(list, columns)))
        else:
            num_buckets = job.num_buckets
            num_shards = job.options.num_shards or min(
                num_buckets, -(-num_bytes // classes.MAX_SHARD_BYTES)
            )
            edges = [i * num_buckets // num_shards for i in range(num_shards + 1)]
            bounds = list(zip(edges, edges[1:]))
            fields = {
                "start_epoch": job.options.start_epoch,
                "epochs": job.options.epochs,
            }
        runs = sorted(run.path for run in found)
        merging = Merging.of(runs, num_bytes, len(bounds))
        shards = dict(
            merging=merging._asdict(),
            num_buckets=num_buckets,
            bounds=bounds,
            is_gzip=is_gzip,
            counts=counts,
            fields=fields,
        )
        job.write(SHARDS, shards)
        tf.io.gfile.makedirs(job.path(SHARDS_DIR))
        yield from merging.tasks or [_NOTHING]


def _present(parts: Sequence[bytes], num_buckets: int) -> list[int]:
    """Returns the buckets that at least one of several `Sorted.buckets` has."""
    found = np.zeros(-(-num_buckets // 8), np.uint8)
    for part in parts:
        found |= np.frombuffer(part, np.uint8)
    return np.flatnonzero(np.unpackbits(found, count=num_buckets)).tolist()


class MergeRuns(JobDoFn):
    """(group, part) of `Merging` -> the same; writes the merged run."""

    def process(self, task):
        """Merges what the runs of a group have for the shards of a part."""
        if task != _NOTHING:
            group, part = task
            shards = self._job.read(SHARDS)
            merging = Merging(**shards["merging"])
            bounds = [shards["bounds"][number] for number in merging.shards(part)]
            merge_runs(
                _merged(self._job, group, part),
                merging.group(group),
                shards["num_buckets"],
                bounds[0][0],
                bounds[-1][1],
            )
        yield task


class ListShards(JobDoFn):
    """All tasks of `MergeRuns`, when they are done -> numbers of shards."""

    def process(self, tasks):
        """Returns the numbers."""
        yield from range(len(self._job.read(SHARDS)["bounds"]))


class WriteShard(JobDoFn):
    """Number of a shard -> (number, name, records)."""

    def process(self, number):
        """Merges the runs' parts of a shard."""
        shards = self._job.read(SHARDS)
        first, after = shards["bounds"][number]
        merging = Merging(**shards["merging"])
        runs = [
            _merged(self._job, group, merging.part(number))
            for group in range(merging.groups)
        ] or merging.runs
        pieces, records = read_buckets(runs, shards["num_buckets"], first, after)
        suffix = ".gz" if shards["is_gzip"] else ""
        is_samples = self._job.options.mode == "materialize"
        # Records are named as TFX's own components do.
        prefix = SAMPLES_PREFIX if is_samples else RECORDS_PREFIX
        name = f"{prefix}{number:05}-of-{len(shards['bounds']):05}{suffix}"
        path = self._job.path(os.path.join(SHARDS_DIR, name))
        write_whole(path, lambda path: write_pieces(path, pieces, shards["is_gzip"]))
        yield number, name, records


def _merged(job, group: int, part: int) -> str:
    """Returns the path of a merged run."""
    return job.path(f"merged-{group:05}-{part:05}.tfrecord")


class Commit(JobDoFn):
    """All shards -> the `Manifest`; puts them into their place."""

    def process(self, written):
        """Writes the manifest and renames the directory."""
        job = self._job
        if not tf.io.gfile.exists(job.scratch):
            # Done before, by a worker that could not say so.
            yield read_manifest(job.output_dir)
            return
        shards = job.read(SHARDS)
        _, names, records = zip(*sorted(written))
        options = job.options
        manifest = Manifest(
            mode=options.mode,
            rule=rule_digest(job.plan),
            identity=str(job.plan.known_by),
            counts=shards["counts"],
            names=names,
            records=records,
            **shards["fields"],
        )
        # The manifest first: a directory without all of its shards is then known as
        # such, and one that nobody has renamed yet is not there.
        contents = manifest.to_json().encode()
        write_contents(manifest_path(job.output_dir), contents)
        _move(job.path(SHARDS_DIR), job.output_dir, names)
        if tf.io.gfile.exists(job.scratch):
            tf.io.gfile.rmtree(job.scratch)
        yield manifest


def _move(source: str, target: str, names) -> None:
    """Renames a directory, in one step where the file system can."""
    if "://" not in target:
        if not tf.io.gfile.exists(target):  # Else a step that was done before.
            tf.io.gfile.rename(source, target)
        return
    tf.io.gfile.makedirs(target)
    for name in names:
        origin = os.path.join(source, name)
        if tf.io.gfile.exists(origin):
            tf.io.gfile.rename(origin, os.path.join(target, name), overwrite=True)
