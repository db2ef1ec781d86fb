"""What the last run of a local pipeline made: artifacts by way of ML Metadata."""

import dataclasses
import json
import os

import numpy as np
import tensorflow_model_analysis as tfma
import tfx_resampling as tr
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx_resampling import artifacts, metrics, report

from pipelines.training.module import REALISED_FILE


@dataclasses.dataclass(frozen=True)
class RunResults:
    """Paths and numbers of one pipeline run.

    Attributes:
      plan_path: `plan.json`.
      report_path: the report beside it.
      model_path: the pushed model, or the trained one if it was not blessed.
      blessed: whether the Evaluator blessed the model.
      plan: the plan.
      realised: int64 [classes], training samples seen with each label.
      samples: training samples seen.
      average_precision: float64 [classes], on the eval split; NaN without positives.
      mean_average_precision: mean over labels that have positives.
    """

    plan_path: str
    report_path: str
    model_path: str
    blessed: bool
    plan: tr.Plan
    realised: np.ndarray
    samples: int
    average_precision: np.ndarray
    mean_average_precision: float

    def as_text(self) -> str:
        """Returns the table of labels, the summary, and the paths."""
        plan = self.plan
        if plan.grouping is None:
            columns = {"average precision": self.average_precision}
            table = report.as_text(plan, realised=self.realised, metrics=columns)
        else:
            # What is resampled and what is trained are two things, and two tables.
            shares = self.realised / (self.realised.sum() or 1)
            classes = [
                f"{name}: realised {100 * share:.2f}%, average precision {value:.3f}"
                for name, share, value in zip(
                    plan.classes, shares, self.average_precision
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
            f"Validation: mean average precision {self.mean_average_precision:.3f}.\n"
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
    plan = artifacts.read_plan(plan_uri)
    with open(os.path.join(model_uri, REALISED_FILE)) as file:
        realised = json.load(file)
    precision, mean = _average_precision(uris["ModelEvaluation"], len(plan.classes))
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
        average_precision=precision,
        mean_average_precision=mean,
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
    return max(own, key=lambda run: run.create_time_since_epoch)


def _artifacts(
    store: metadata_store.MetadataStore, name: str
) -> dict[str, metadata_store_pb2.Artifact]:
    """Returns type name -> newest artifact of the newest run."""
    context = _newest_run(store, name)
    types = {kind.id: kind.name for kind in store.get_artifact_types()}
    found = sorted(store.get_artifacts_by_context(context.id), key=lambda a: a.id)
    return {types[artifact.type_id]: artifact for artifact in found}


def _average_precision(uri: str, num_labels: int) -> tuple[np.ndarray, float]:
    """Returns float64 [labels] and its mean, NaN where there are no positives."""
    values, mean = np.full(num_labels, np.nan), float("nan")
    for result in tfma.load_metrics(uri):
        if result.slice_key.single_slice_keys:
            continue
        for item in result.metric_keys_and_values:
            if item.key.name != metrics.NAME or item.key.is_diff:
                continue
            value = item.value.double_value.value
            if item.key.sub_key.HasField("class_id"):
                values[item.key.sub_key.class_id.value] = value
            else:
                mean = value
    return values, mean
