"""What the last run of a local pipeline made: artifacts by way of ML Metadata."""

import dataclasses
import json
import os
from collections.abc import Sequence

import numpy as np
import tensorflow_model_analysis as tfma
import tfx_resampling as tr
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx_resampling import artifacts, metrics, report

from pipelines.training.module import REALISED_FILE

_METRICS = (metrics.NAME, metrics.LOG_LOSS, metrics.CALIBRATION)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What the Evaluator found on the natural eval split.

    Attributes:
      average_precision: float64 [classes]; NaN without positives.
      log_loss: float64 [classes].
      calibration: float64 [classes], probabilities over positives; NaN without any.
      positives: float64 [classes], examples with each label.
      groups: "all", "head", "middle" or "tail" -> name of the metric -> value.
    """

    average_precision: np.ndarray
    log_loss: np.ndarray
    calibration: np.ndarray
    positives: np.ndarray
    groups: dict[str, dict[str, float]]

    @classmethod
    def read(cls, uri: str, num_classes: int) -> "Evaluation":
        """Reads the output of an Evaluator."""
        values = {
            name: np.full(num_classes, np.nan)
            for name in (*_METRICS, metrics.POSITIVES)
        }
        names = {
            name if group == "all" else f"{name}_{group}": (group, name)
            for group in ("all", *metrics.GROUPS)
            for name in _METRICS
        }
        groups = {group: {} for group in ("all", *metrics.GROUPS)}
        for result in tfma.load_metrics(uri):
            if result.slice_key.single_slice_keys:
                continue
            for item in result.metric_keys_and_values:
                key, value = item.key, item.value.double_value.value
                if key.is_diff or key.model_name == tfma.BASELINE_KEY:
                    continue
                if key.sub_key.HasField("class_id"):
                    values[key.name][key.sub_key.class_id.value] = value
                elif key.name in names:
                    group, name = names[key.name]
                    groups[group][name] = value
        return cls(**values, groups=groups)

    @property
    def mean_average_precision(self) -> float:
        """Mean over the labels that have positives."""
        return self.groups["all"][metrics.NAME]

    def as_text(self, classes: Sequence[str]) -> str:
        """Returns a line for all labels, and for head, middle and tail."""
        members = metrics.frequency_groups(np.nan_to_num(self.positives))
        lines = []
        for group, found in self.groups.items():
            who = "Validation"
            if group != "all":
                names = [classes[int(i)] for i in members[group]]
                if not names:
                    continue
                more = f" and {len(names) - 5} more" * (len(names) > 5)
                who = f"  {group} ({', '.join(names[:5])}{more})"
            lines.append(
                f"{who}: {'mean ' * (group == 'all')}average precision "
                f"{found[metrics.NAME]:.3f}, log loss {found[metrics.LOG_LOSS]:.3f}, "
                f"calibration {found[metrics.CALIBRATION]:.2f}.\n"
            )
        return "".join(lines)


@dataclasses.dataclass(frozen=True)
class RunResults:
    """Paths and numbers of one pipeline run.

    Attributes:
      plan_path: `plan.json`.
      report_path: the report beside it.
      model_path: the pushed model, or the trained one if it was not blessed.
      blessed: whether the Evaluator blessed the model.
      plan: the plan that the model was trained by.
      realised: int64 [classes], training samples seen with each label.
      samples: training samples seen.
      probabilities: what the model's are, in words.
      evaluation: what the Evaluator found on the eval split.
    """

    plan_path: str
    report_path: str
    model_path: str
    blessed: bool
    plan: tr.Plan
    realised: np.ndarray
    samples: int
    probabilities: str
    evaluation: "Evaluation"

    def as_text(self) -> str:
        """Returns the table of labels, the summary, and the paths."""
        plan = self.plan
        if plan.grouping is None:
            columns = {"average precision": self.evaluation.average_precision}
            table = report.as_text(plan, realised=self.realised, metrics=columns)
        else:
            # What is resampled and what is trained are two things, and two tables.
            shares = self.realised / (self.realised.sum() or 1)
            classes = [
                f"{name}: realised {100 * share:.2f}%, average precision {value:.3f}"
                for name, share, value in zip(
                    plan.classes, shares, self.evaluation.average_precision
                )
            ]
            table = "\n".join([report.as_text(plan), "", *classes])
        epochs, left = 0.0, float(self.samples)
        while left > 0:  # Of a plan with a schedule, epochs differ in size.
            size = plan.predicted_records_at(int(epochs))
            epochs += min(1.0, left / size)
            left -= size
        pushed = "pushed" if self.blessed else "NOT BLESSED, not pushed"
        warnings = "".join(f"Warning: {text}\n" for text in plan.warnings)
        return (
            f"\n{table}\n"
            f"Trained on {self.samples:,} samples ({epochs:.1f} epochs of the plan).\n"
            f"{self.evaluation.as_text(plan.classes)}"
            f"Probabilities: {self.probabilities}.\n"
            f"{warnings}\n"
            f"plan:   {self.plan_path}\n"
            f"report: {self.report_path}\n"
            f"model:  {self.model_path} ({pushed})"
        )


def read(connection: metadata_store_pb2.ConnectionConfig, name: str) -> RunResults:
    """Returns the results of the newest run of pipeline `name`.

    Raises:
      ValueError: there is no run of this name, or it did not get to the end.
    """
    store = metadata_store.MetadataStore(connection)
    found = _artifacts(store, name)
    uris = {kind: artifact.uri for kind, artifact in found.items()}
    for needed in ("tfx_resampling.ResamplePlan", "Model", "ModelEvaluation"):
        if needed not in uris:
            raise ValueError(f"the newest run of {name!r} made no {needed}.")
    plan_uri, model_uri = uris["tfx_resampling.ResamplePlan"], uris["Model"]
    # A Tuner's choice may differ from what the planner made.
    plan = artifacts.read_plan(model_uri)
    with open(os.path.join(model_uri, REALISED_FILE)) as file:
        realised = json.load(file)
    evaluation = Evaluation.read(uris["ModelEvaluation"], len(plan.classes))
    blessing = uris.get("ModelBlessing", "")
    blessed = os.path.exists(os.path.join(blessing, "BLESSED"))
    model_path = os.path.join(model_uri, "Format-Serving")
    if blessed:
        properties = found["PushedModel"].custom_properties
        model_path = properties["pushed_destination"].string_value
    return RunResults(
        plan_path=artifacts.plan_uri(plan_uri),
        report_path=os.path.join(plan_uri, report.REPORT_FILE),
        model_path=model_path,
        blessed=blessed,
        plan=plan,
        realised=np.array(realised["counts"]),
        samples=realised["samples"],
        probabilities=realised["probabilities"],
        evaluation=evaluation,
    )


def executions(
    connection: metadata_store_pb2.ConnectionConfig, name: str
) -> dict[str, str]:
    """Returns component id -> "COMPLETE", "CACHED"... of the newest run."""
    store = metadata_store.MetadataStore(connection)
    context = _newest_run(store, name)
    types = {kind.id: kind.name for kind in store.get_execution_types()}
    return {
        types[execution.type_id].split(".")[-1]: (
            metadata_store_pb2.Execution.State.Name(execution.last_known_state)
        )
        for execution in store.get_executions_by_context(context.id)
    }


def _newest_run(
    store: metadata_store.MetadataStore, name: str
) -> metadata_store_pb2.Context:
    runs = store.get_contexts_by_type("pipeline_run")
    prefix = f"{name}."
    own = [run for run in runs if run.name.startswith(prefix)] or [
        run
        for run in runs
        if any(c.name == name for c in store.get_parent_contexts_by_context(run.id))
    ]
    if not own:
        raise ValueError(f"no run of pipeline {name!r} in this metadata store.")
    return max(own, key=lambda run: run.id)  # Clocks may go backwards.


def _artifacts(
    store: metadata_store.MetadataStore, name: str
) -> dict[str, metadata_store_pb2.Artifact]:
    """Returns type name -> newest artifact of the newest run."""
    context = _newest_run(store, name)
    types = {kind.id: kind.name for kind in store.get_artifact_types()}
    found = sorted(store.get_artifacts_by_context(context.id), key=lambda a: a.id)
    return {types[artifact.type_id]: artifact for artifact in found}
