"""Executor of `ResamplePlanner`."""

import json
import os
from typing import Any, Dict, List

from absl import logging
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_resampling import artifacts, report
from tfx_resampling.core.plan import Plan
from tfx_resampling.core.planning import make_plan
from tfx_resampling.planner import spec, statistics


class Executor(base_executor.BaseExecutor):
    """Reads statistics, makes the plan, writes it with a report."""

    def Do(
        self,
        input_dict: Dict[str, List[types.Artifact]],
        output_dict: Dict[str, List[types.Artifact]],
        exec_properties: Dict[str, Any],
    ) -> None:
        """Makes the plan.

        Args:
          input_dict: "statistics" and, optionally, "schema".
          output_dict: "resample_plan" and "hyperparameters".
          exec_properties: the fields of `PlannerConfig`, and "package_version".

        Raises:
          ValueError: the options, or the statistics, do not make a plan. Nothing is
            written then.
        """
        config = spec.config_from_properties(exec_properties)
        schema = None
        if input_dict.get(spec.SCHEMA_KEY):
            uri = artifact_utils.get_single_uri(input_dict[spec.SCHEMA_KEY])
            schema = io_utils.parse_pbtxt_file(
                io_utils.get_only_uri_in_dir(uri), schema_pb2.Schema()
            )
        counts = statistics.label_counts(
            artifact_utils.get_single_instance(input_dict[spec.STATISTICS_KEY]),
            config.split,
            config.label_key,
            schema,
        )
        plan = make_plan(counts, config)
        logging.info("Plan for split %r:\n%s", config.split, report.as_text(plan))
        for warning in plan.warnings:
            logging.warning("%s", warning)
        _write(plan, output_dict)


def _write(plan: Plan, output_dict: Dict[str, List[types.Artifact]]) -> None:
    artifact = artifact_utils.get_single_instance(output_dict[spec.RESAMPLE_PLAN_KEY])
    io_utils.write_string_file(
        os.path.join(artifact.uri, report.REPORT_FILE), report.as_html(plan)
    )
    artifacts.write_plan(plan, artifact.uri)
    artifact.set_string_custom_property("label_key", plan.label_key)
    artifact.set_int_custom_property("num_labels", len(plan.labels))
    artifact.set_float_custom_property("predicted_records", plan.predicted_records)
    artifact.set_float_custom_property("distance_to_target", plan.distance)
    uri = artifact_utils.get_single_uri(output_dict[spec.HYPERPARAMETERS_KEY])
    io_utils.write_string_file(
        # The stock Trainer reads the only file there is, and hands it on as a dict.
        os.path.join(uri, spec.HYPERPARAMETERS_FILE),
        json.dumps({artifacts.PLAN_KEY: plan.to_json()}),
    )
