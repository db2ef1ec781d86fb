"""Options of reading, of images, of generators, of planning."""

import math

import numpy as np
import pandas as pd
from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.images.augmentation import Augmentation
from tfx_resampling.options import ImageOptions, InputOptions
from tfx_resampling.tables.frame import as_frame
from tfx_resampling.tables.generator import DataGenerator, StratifiedSampler

from tests.bad_input.rows import calls

_INPUT = [
    ({"epochs": 0}, "epochs must be an integer >= 1 or None, got 0"),
    ({"epochs": 1.0}, "epochs must be .*got 1.0"),
    ({"epochs": True}, "epochs must be .*got True"),
    ({"start_epoch": -1}, "start_epoch must be an integer >= 0, got -1"),
    ({"start_epoch": None}, "start_epoch must be .*got None"),
    ({"shuffle_records": -1}, "shuffle_records must be"),
    ({"shuffle_records": None}, "shuffle_records must be"),
    ({"on_corrupt": "ignore"}, r"on_corrupt must be one of \['error', 'skip'\]"),
    ({"service": "localhost:5050"}, "service must be the address .*localhost:5050"),
    ({"service_job": "train"}, "service_job must be left out without service"),
    ({"chunk_size": 0}, "chunk_size must be an integer >= 1 or None, got 0"),
    ({"cycle_length": 0}, "cycle_length must be an integer >= 1, got 0"),
    ({"num_parallel_calls": 0}, "num_parallel_calls must be"),
    ({"num_parallel_calls": "2"}, "num_parallel_calls must be .*got '2'"),
    ({"compression": "gzip"}, "compression must be one of .*'GZIP'.*got 'gzip'"),
    ({"compression": None}, "compression must be one of"),
    ({"deterministic": "yes"}, "deterministic must be True or False, got 'yes'"),
]
_IMAGE = [
    ({"key": ""}, "key must be a non-empty string, got ''"),
    ({"key": None}, "key must be"),
    ({"channels": 2}, "channels must be 1 or 3, got 2"),
    ({"channels": 0}, "channels must be"),
    ({"size": (8,)}, r"size must be \(height, width\)"),
    ({"size": 8}, r"size must be \(height, width\), got 8"),
    ({"scale": "x"}, "scale must be above 0 or None, got 'x'"),
    ({"size": (8, 8, 3)}, "size must be"),
    ({"size": (0, 8)}, "height must be an integer >= 1, got 0"),
    ({"size": (8, 8.0)}, "width must be an integer >= 1, got 8.0"),
    ({"scale": 0}, "scale must be above 0 or None, got 0"),
    ({"scale": -1.0}, "scale must be"),
    ({"scale": math.nan}, "scale must be"),
    ({"augment": "flip"}, "augment must be callable, got 'flip'"),
]
_OF_JSON = [
    ({"epoch": 3}, r"unknown input options \['epoch'\]; valid: \['epochs'"),
    ({"epochs": 0}, "epochs must be an integer >= 1 or None, got 0"),
    ([], r"input options must be a Mapping, got \[\]"),
]
_TABLES = [
    ([], "must have at least one row, got an empty table"),
    (pd.DataFrame({"a": []}), "must have at least one row"),
    (3, "must be a pandas.DataFrame or a list of dicts, got int"),
    ([[1, 2]], "non-empty strings as names, got \\[0, 1\\].*rename"),
    (pd.DataFrame([[1, 2]], columns=["a", "a"]), "distinct, got 'a' twice"),
]
_GENERATOR = [
    ({"batch_size": 0}, "batch_size must be an integer >= 1, got 0"),
    ({"batch_size": 2.5}, "batch_size must be an integer >= 1, got 2.5"),
    ({"repeat": -2}, "repeat must be False or 0 .* got -2"),
    ({"repeat": 1.5}, "repeat must be .* got 1.5"),
    ({"max_epoch_samples": 0}, "max_epoch_samples must be"),
    ({"max_epoch_samples": -np.inf}, "max_epoch_samples must be"),
    ({"seed": "x"}, "seed must be an integer .* got 'x'"),
    ({"seed": 2**63}, "seed must be an integer below"),
    ({"sampling_group_weighing": "cube"}, "weighing must be one of .*got 'cube'"),
    ({"sampling_groupby": ["site"]}, "columns of samples, got 'site'. Columns"),
]
_SAMPLES = [{"id": i, "folder": "ab"[i % 2]} for i in range(4)]
_PLANNER = [
    ({"target": '{"a": 0.5'}, "target is not a JSON object"),
    ({"target": {}}, "target"),
    ({"target": {"a": -1}}, "target"),
    ({"target": {"a": math.nan}}, "target"),
    ({"target": "power:"}, "target must be"),
    ({"target": "power:x"}, "target must be"),
    ({"size": "records:0"}, "size must be"),
    ({"size": "ratio:nan"}, "size must be"),
    ({"seed": 2**63}, "seed must be"),
    ({"group_by": '{"name": "x"}'}, "group_by must be a list"),
    ({"group_by": '["x", "x"]'}, "group_by must name every column once"),
    ({"group_by": '[{"name": "x", "boundaries": [2, 1]}]'}, "boundaries of Bucket 'x'"),
    ({"keep_natural": "[1]"}, "keep_natural must be a list of names"),
    ({"label_key": ""}, "label_key must be a non-empty string"),
]
_RESAMPLE = [
    ({"mode": "both"}, "mode must be one of"),
    ({"num_shards": 0}, "num_shards must be an integer >= 1"),
    ({"mode": "stratify", "epochs": 2}, "epochs must be left out with mode='stratify'"),
]

ROWS = [
    *calls("InputOptions", InputOptions, _INPUT),
    *calls("ImageOptions", ImageOptions, _IMAGE),
    *calls(
        "InputOptions of JSON",
        InputOptions.from_dict,
        [({"values": values}, message) for values, message in _OF_JSON],
    ),
    *calls(
        "table",
        as_frame,
        [({"samples": samples}, message) for samples, message in _TABLES],
    ),
    *calls("DataGenerator", lambda **o: DataGenerator(_SAMPLES, **o), _GENERATOR),
    *calls(
        "StratifiedSampler",
        StratifiedSampler,
        [({"batch_size": 0}, "batch_size"), ({"group_weighing": "cube"}, "weighing")],
    ),
    *calls(
        "PlannerConfig",
        lambda **o: PlannerConfig(**{"label_key": "label", **o}),
        _PLANNER,
    ),
    *calls("ResampleOptions", ResampleOptions, _RESAMPLE),
    *calls("Augmentation", Augmentation, [({"rotate": 181}, "rotate must be from 0")]),
]
