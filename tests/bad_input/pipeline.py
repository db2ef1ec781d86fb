"""Parameters of components and of the pipeline."""

from tfx import v1 as tfx
from tfx.types import channel_utils, standard_artifacts
from tfx_resampling.artifacts import load_plan
from tfx_resampling.core.config import PlannerConfig, from_properties
from tfx_resampling.planner.component import ResamplePlanner
from tfx_resampling.resampler.component import Resampler
from tfx_resampling.trainer.component import Trainer
from tfx_resampling.trainer.executor import check_train_steps
from tfx_resampling.trainer.tuner import Tuner

from tests.bad_input.rows import Row, calls

_STATISTICS = channel_utils.as_channel([standard_artifacts.ExampleStatistics()])
_EXAMPLES = channel_utils.as_channel([standard_artifacts.Examples()])
_LATE = tfx.dsl.experimental.RuntimeParameter(name="late", ptype=str)

_PLANNER = [
    ({}, "label_key must be given"),
    ({"label_key": "y", "tarjet": "sqrt"}, r"unknown options \['tarjet'\]; valid"),
    ({"label_key": "y", "target": "unform"}, "target must be .* got 'unform'"),
    ({"label_key": "y", "max_factor": float("nan")}, "max_factor .* got nan"),
    ({"label_key": "y", "split": "a,a"}, "split must have each name once"),
    (
        {"label_key": "y", "split": "a", "exclude_splits": "b"},
        "split and exclude_split",
    ),
    ({"label_key": "y", "group_by": _LATE}, "group_by must be known .*'late'"),
    ({"label_key": "y", "target": {"a": _LATE}}, "target must be known .*'late'"),
]
_RESAMPLER = [
    ({"modes": "stratify"}, r"unknown options \['modes'\]"),
    ({"other_splits": "move"}, "other_splits must be one of"),
    (
        {"splits": ["train"], "exclude_splits": ["eval"]},
        "splits and exclude_splits mus",
    ),
    ({"splits": []}, "splits must be a list of names"),
]
_TRAINER = [
    ({"run_fn": "a.b"}, "Exactly one of examples and transformed_examples"),
    ({"examples": _EXAMPLES}, "Exactly one of module_file and run_fn"),
    ({"examples": _EXAMPLES, "run_fn": "a.b", "train_steps": 0}, "train_steps must be"),
    ({"examples": _EXAMPLES, "run_fn": "a.b", "plan": _EXAMPLES}, r"unknown inputs"),
    ({"transformed_examples": _EXAMPLES, "run_fn": "a.b"}, "needs transform_graph"),
]
_PROPERTIES = [
    ({"label_key": "y", "max_factor": -1.0}, "max_factor must be"),
    ({"label_key": "y", "seed": -1.0}, "seed must be"),
    ({"label_key": "y", "size": "all"}, "size must be"),
]


def _hyperparameters(value):
    class FnArgs:
        custom_config = None
        hyperparameters = {"resample_plan": value}

    return lambda folder: load_plan(FnArgs())


ROWS = [
    Row(
        "ResamplePlanner of nothing", lambda f: ResamplePlanner(), "statistics or exam"
    ),
    *calls("ResamplePlanner", lambda **o: ResamplePlanner(_STATISTICS, **o), _PLANNER),
    *calls("Resampler", lambda **o: Resampler(_EXAMPLES, _STATISTICS, **o), _RESAMPLER),
    *calls("Trainer", Trainer, _TRAINER),
    *calls("Tuner", Tuner, [({"examples": _EXAMPLES}, "Exactly one of module_file")]),
    *calls(
        "execution properties",
        lambda **properties: from_properties(PlannerConfig, properties),
        _PROPERTIES,
    ),
    *calls("train steps", check_train_steps, [({"steps": 1.5}, "train_steps must be")]),
    Row("hyperparameters", _hyperparameters("{"), "plan is not JSON"),
]
