"""`ResamplePlan`, the artifact type that carries a `Plan` through a TFX pipeline."""

import html
import os
from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.io import fileio
from tfx.dsl.placeholder import placeholder
from tfx.orchestration import data_types
from tfx.orchestration.experimental.interactive import visualizations
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from tfx_resampling import filesystem, report
from tfx_resampling.core.plan import MAX_BYTES, PLAN_FILE, Plan
from tfx_resampling.records import files
from tfx_resampling.validate import parse_names


class ResamplePlan(types.Artifact):
    """A resampling plan: `plan.json` (a `Plan`) and `report.html` in one directory.

    TYPE_NAME doubles as the import path by which Kubeflow Pipelines v2 finds the class
    in a container. Properties are not declared, because compiling for Kubeflow fails on
    declared ones; custom properties hold a summary, the payload holds the truth.
    """

    TYPE_NAME = "tfx_resampling.ResamplePlan"


def plan_uri(artifact_uri: str) -> str:
    """Returns the path of `plan.json` inside the artifact."""
    return os.path.join(artifact_uri, PLAN_FILE)


def write_plan(plan: Plan, artifact_uri: str) -> str:
    """Writes `plan.json` into the artifact's directory and returns its path.

    Whole or not at all; one that is there, of a try before, is replaced.
    """
    fileio.makedirs(artifact_uri)
    path = plan_uri(artifact_uri)
    filesystem.write_bytes(path, plan.to_json().encode(), overwrite=True)
    return path


def read_plan(source: str | types.Artifact) -> Plan:
    """Returns the plan of an artifact.

    Args:
      source: the artifact; or its directory, or the path of a `plan.json`, local or
        remote.

    Raises:
      ValueError: there is no plan, or it is not valid; the message names the path.
    """
    uri = source.uri if isinstance(source, types.Artifact) else source
    if not isinstance(uri, str) or not uri:
        raise ValueError(
            f"a plan must be read from an artifact or a URI, got {source!r}. An output "
            "of a component is a channel: its artifacts are there when it has run."
        )
    path = uri if uri.endswith(".json") else plan_uri(uri)
    if not fileio.exists(path):
        raise ValueError(
            f"no plan at {path!r}. It is written by ResamplePlanner; was its artifact "
            "deleted?"
        )
    contents = filesystem.read_bytes(path, MAX_BYTES)
    try:
        return Plan.from_json(contents)
    except ValueError as error:
        raise ValueError(f"{path!r}: {error}") from None


class ResamplePlanVisualization(visualizations.ArtifactVisualization):
    """What a notebook shows: `context.show(planner.outputs["resample_plan"])`.

    The report, in a frame: its style sheet must not reach the notebook's own page.
    """

    ARTIFACT_TYPE = ResamplePlan

    # Nobody reads the text that TFX says it returns.
    def display(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, artifact: types.Artifact
    ) -> None:
        """Displays the report of an artifact; made from the plan if it has none."""
        from IPython.display import HTML, display  # TFX needs it for notebooks only.

        path = os.path.join(artifact.uri, report.REPORT_FILE)
        if fileio.exists(path):
            with fileio.open(path, "rb") as file:
                page = file.read().decode()
        else:
            page = report.as_html(read_plan(artifact.uri))
        # The empty sandbox forbids scripts, of which the report has none.
        frame = (
            f'<iframe title="Resampling plan" sandbox="" srcdoc="{html.escape(page)}" '
            'style="width: 100%; height: 42rem; border: 1px solid #8884"></iframe>'
        )
        display(HTML(f"<div>{frame}</div>"))


# Whoever has an artifact of the type has imported this module, so that a notebook need
# not register anything. It is an entry in a dict, and loads nothing of IPython.
visualizations.get_registry().register(ResamplePlanVisualization)

# Where the two routes of a plan into `run_fn(fn_args)` end.
PLAN_URI_KEY = "resample_plan_uri"  # in fn_args.custom_config
PLAN_KEY = "resample_plan"  # in fn_args.hyperparameters


def load_plan(fn_args) -> Plan | None:
    """Returns the plan that reached a Trainer module, by whichever route.

    - `tfx_resampling.Trainer(resample_plan=planner.outputs["resample_plan"])` sets
      `fn_args.custom_config["resample_plan_uri"]`. A stock Trainer's `custom_config`
      may hold the URI of a plan made earlier under the same key.
    - A stock Trainer with `hyperparameters=planner.outputs["hyperparameters"]` gets the
      plan itself in `fn_args.hyperparameters`.

    Args:
      fn_args: the argument of `run_fn`.

    Returns:
      The plan, or None where the Trainer was given none.

    Raises:
      ValueError: a plan that cannot be read.
    """
    config = fn_args.custom_config or {}
    if config.get(PLAN_URI_KEY):
        return read_plan(config[PLAN_URI_KEY])
    hyperparameters = fn_args.hyperparameters or {}
    if hyperparameters.get(PLAN_KEY):
        return Plan.from_json(hyperparameters[PLAN_KEY])
    return None


_OF_SPAN = ("span", "version")


def carry_span(sources: Sequence[types.Artifact], target: types.Artifact) -> None:
    """Gives an artifact the span and version of those that it is made of.

    Of several, those of the latest. They are where ExampleGen puts them, in custom
    properties, which resolvers read; and in declared ones, where the type has them.
    """

    def numbers(artifact: types.Artifact) -> tuple[int, int]:
        span, version = (_number(artifact, name) for name in _OF_SPAN)
        return -1 if span is None else span, -1 if version is None else version

    latest = max(sources, key=numbers)
    for name in _OF_SPAN:
        value = _number(latest, name)
        if value is None:
            continue
        target.set_int_custom_property(name, value)
        if _declares(target, name):
            setattr(target, name, value)


def _number(artifact: types.Artifact, name: str) -> int | None:
    value = None
    if artifact.has_custom_property(name):
        # On Kubeflow it may be there and be empty.
        value = artifact.get_custom_property(name)
    if value is not None:
        # Older TFX writes text; Kubeflow, numbers with a point.
        return int(float(str(value)))
    # 0 is also what components write that look for it there, and not where it is.
    return getattr(artifact, name) or None if _declares(artifact, name) else None


def _declares(artifact: types.Artifact, name: str) -> bool:
    return name in (artifact.PROPERTIES or {})


def split_files(examples: list[types.Artifact], split: str) -> list[str]:
    """Returns the files of a split of examples, all of one artifact or more.

    Raises:
      ValueError: another payload format than tf.train.Example, or a split that is not
        there or has no files.
    """
    for artifact in examples:
        payload = examples_utils.get_payload_format(artifact)
        if payload != example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE:
            name = example_gen_pb2.PayloadFormat.Name(payload)
            raise ValueError(
                f"examples at {artifact.uri!r} have the payload format {name}; labels "
                "are read from FORMAT_TF_EXAMPLE."
            )
        splits = artifact_utils.decode_split_names(artifact.split_names)
        if split not in splits:
            raise ValueError(
                f"split {split!r} is not in the examples at {artifact.uri!r}, which "
                f"have {splits}."
            )
    uris = artifact_utils.get_split_uris(examples, split)
    return files.match_files([os.path.join(uri, "*") for uri in uris])


def splits_but(artifacts: list[types.Artifact], excluded: str) -> list[str]:
    """Returns the splits of artifacts that are left when some are excluded.

    Args:
      artifacts: examples or statistics.
      excluded: names of splits, separated by commas.

    Raises:
      ValueError: a name that is no split, or no split is left.
    """
    splits = artifact_utils.decode_split_names(artifacts[0].split_names)
    names = parse_names("exclude_splits", excluded, 1)
    left = [split for split in splits if split not in names]
    if not left or not set(names) <= set(splits):
        raise ValueError(
            f"exclude_splits must be splits of {artifacts[0].uri!r}, which has "
            f"{splits}, and leave one, got {list(names)}."
        )
    return left


def is_late(value: Any) -> bool:
    """Returns whether an option gets its value when the pipeline runs.

    That is a `RuntimeParameter`, or a placeholder such as
    `component.outputs["value"].future()[0].value`.
    """
    return isinstance(value, (data_types.RuntimeParameter, placeholder.Placeholder))


def joined_splits(option: str, value: Any) -> Any:
    """Returns names of splits as an execution property; late values as they are.

    Raises:
      ValueError: there are no names.
    """
    return value if is_late(value) else ",".join(parse_names(option, value, 1))
