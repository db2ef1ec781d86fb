"""Options of the input pipeline: every bad value is refused by name."""

import dataclasses
import json
import math

import pytest
from tfx_resampling.options import ImageOptions, InputOptions


@pytest.mark.parametrize(
    "options, message",
    [
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
    ],
)
def test_bad_input_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        InputOptions(**options)


@pytest.mark.parametrize(
    "options, message",
    [
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
    ],
)
def test_bad_image_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ImageOptions(**options)


def test_input_options_survive_json():
    options = InputOptions(epochs=3, deterministic=True, on_corrupt="skip")
    again = InputOptions.from_dict(json.loads(json.dumps(options.to_dict())))
    assert again == options
    assert InputOptions.from_dict({"epochs": 2}) == InputOptions(epochs=2)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"epoch": 3}, r"unknown input options \['epoch'\]; valid: \['epochs'"),
        ({"epochs": 0}, "epochs must be an integer >= 1 or None, got 0"),
        ([], r"input options must be a Mapping, got \[\]"),
    ],
)
def test_input_options_of_json_are_read_strictly(values, message):
    with pytest.raises(ValueError, match=message):
        InputOptions.from_dict(values)


@pytest.mark.parametrize("kind", [InputOptions, ImageOptions])
def test_unknown_options_are_refused_and_known_ones_are_frozen(kind):
    with pytest.raises(TypeError, match="colour"):
        kind(colour="red")
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().key = "x"
