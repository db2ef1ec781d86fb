"""Executor of `ResamplePlanner`."""

import dataclasses
import json
import os
import pickle
from collections.abc import Callable, Sequence
from typing import Any

import apache_beam as beam
from absl import logging
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_resampling import artifacts, report
from tfx_resampling.artifacts import split_files, splits_but
from tfx_resampling.beam import CountLabelSets
from tfx_resampling.core.config import PlannerConfig, from_properties
from tfx_resampling.core.counts import LabelCounts
from tfx_resampling.core.groups import ColumnSpec
from tfx_resampling.core.identity import Identity
from tfx_resampling.core.plan import Plan
from tfx_resampling.fitting.planning import make_plan
from tfx_resampling.planner import spec, statistics
from tfx_resampling.records.files import RecordFiles
from tfx_resampling.scan import count
from tfx_resampling.validate import printable


def from_examples(
    examples: list[types.Artifact],
    splits: Sequence[str],
    label_key: str,
    group_by: Sequence[ColumnSpec],
    identity: Identity,
    make_pipeline: Callable[[], beam.Pipeline],
    scratch: str,
    label_dtype: str | None = None,
) -> LabelCounts:
    """Returns exact counts of label sets, or of groups, of some splits of examples.

    Args:
      examples: Examples artifacts, raw or transformed, gzip or plain.
      splits: names of the splits.
      label_key: the label feature, bytes or int64.
      group_by: columns of groups, all boundaries known; empty to count label sets.
      identity: what records are known by.
      make_pipeline: makes the Beam pipeline that counts.
      scratch: directory, reachable from the workers, for the counts.
      label_dtype: type of the label feature, if known; as `count.find_spec`.

    Raises:
      ValueError: another payload format than tf.train.Example, a split that is not
        there, no records, or a feature that cannot be counted.
    """
    files = [name for split in splits for name in split_files(examples, split)]
    spec = count.find_spec(
        RecordFiles(tuple(files)), label_key, group_by, identity, label_dtype
    )
    counted = _count(files, spec, make_pipeline, scratch)
    return count.to_label_counts(
        counted,
        spec,
        {
            "examples": [
                uri
                for split in splits
                for uri in artifact_utils.get_split_uris(examples, split)
            ],
            "split": ",".join(splits),
        },
    )


def _count(files, spec: count.CountSpec, make_pipeline, scratch: str) -> count.Counted:
    """Runs the pipeline; the result comes back by a file, as from any runner."""
    path = os.path.join(scratch, "label_sets.pickle")
    with make_pipeline() as pipeline:
        _ = (
            pipeline
            | "FileNames" >> beam.Create(files)
            | "CountLabelSets" >> CountLabelSets(spec)
            | "Write" >> beam.Map(_write_counted, path)
        )
    # Written by our own workers a moment ago, so unpickling it is safe.
    with fileio.open(path, "rb") as file:
        counted = pickle.loads(file.read())
    fileio.remove(path)
    return counted


def _write_counted(counted, path):
    with fileio.open(path, "wb") as file:
        file.write(pickle.dumps(counted))


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads statistics or counts examples, makes the plan, writes it with a report."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Makes the plan.

        Args:
          input_dict: "statistics" or "examples" or both, and, optionally, "schema".
          output_dict: "resample_plan" and "hyperparameters".
          exec_properties: the fields of `PlannerConfig`, and "package_version".

        Raises:
          ValueError: the options, or the statistics, do not make a plan. Nothing is
            written then.
        """
        config = from_properties(PlannerConfig, exec_properties)
        excluded = exec_properties.get(spec.EXCLUDE_SPLITS_KEY)
        if excluded:
            given = input_dict.get(spec.EXAMPLES_KEY) or input_dict[spec.STATISTICS_KEY]
            config = dataclasses.replace(config, split=splits_but(given, excluded))
        schema = None
        if input_dict.get(spec.SCHEMA_KEY):
            uri = artifact_utils.get_single_uri(input_dict[spec.SCHEMA_KEY])
            schema = io_utils.parse_pbtxt_file(
                io_utils.get_only_uri_in_dir(uri), schema_pb2.Schema()
            )
        uri = artifact_utils.get_single_uri(output_dict[spec.RESAMPLE_PLAN_KEY])
        # Not TFX's temporary directory: on Kubeflow that is in the pod, where workers
        # of Dataflow cannot write.
        scratch = os.path.join(uri, ".temp")
        counts = self._counts(input_dict, config, schema, scratch)
        plan = make_plan(counts, config)
        logging.info("Plan for split %r:\n%s", config.split, report.as_text(plan))
        for warning in plan.warnings:
            logging.warning("%s", printable(warning))
        _write(plan, counts, output_dict)
        given = (spec.EXAMPLES_KEY, spec.STATISTICS_KEY)
        artifacts.carry_span(
            [artifact for key in given for artifact in input_dict.get(key, ())],
            artifact_utils.get_single_instance(output_dict[spec.RESAMPLE_PLAN_KEY]),
        )

    def _counts(
        self,
        input_dict: dict[str, list[types.Artifact]],
        config: PlannerConfig,
        schema: schema_pb2.Schema | None,
        scratch: str,
    ) -> LabelCounts:
        given = input_dict.get(spec.STATISTICS_KEY)
        artifact = artifact_utils.get_single_instance(given) if given else None
        if artifact is not None and not input_dict.get(spec.EXAMPLES_KEY):
            return statistics.from_statistics(
                artifact, config.splits, config.label_key, config.group_by, schema
            )
        fileio.makedirs(scratch)
        try:
            counts = from_examples(
                input_dict[spec.EXAMPLES_KEY],
                config.splits,
                config.label_key,
                statistics.with_boundaries(config.group_by, artifact, config.splits),
                config.known_by,
                self._make_beam_pipeline,
                scratch,
                statistics.label_dtype(
                    artifact, schema, config.splits[0], config.label_key
                ),
            )
        finally:
            if fileio.exists(scratch):  # Empty directories may vanish in a bucket.
                fileio.rmtree(scratch)
        labels = statistics.domain(schema, config.label_key, counts.label_dtype)
        return counts.with_labels(labels)


def _write(
    plan: Plan, counts: LabelCounts, output_dict: dict[str, list[types.Artifact]]
) -> None:
    artifact = artifact_utils.get_single_instance(output_dict[spec.RESAMPLE_PLAN_KEY])
    io_utils.write_string_file(
        os.path.join(artifact.uri, report.REPORT_FILE), report.as_html(plan, counts)
    )
    artifacts.write_plan(plan, artifact.uri)
    artifact.set_string_custom_property("label_key", plan.label_key)
    artifact.set_int_custom_property("num_labels", len(plan.groups))
    artifact.set_float_custom_property("predicted_records", plan.predicted_records)
    artifact.set_float_custom_property("distance_to_target", plan.distance)
    uri = artifact_utils.get_single_uri(output_dict[spec.HYPERPARAMETERS_KEY])
    io_utils.write_string_file(
        # The stock Trainer reads the only file there is, and hands it on as a dict.
        os.path.join(uri, spec.HYPERPARAMETERS_FILE),
        json.dumps({artifacts.PLAN_KEY: plan.to_json()}),
    )
