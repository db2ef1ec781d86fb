"""Options of the input pipeline: every bad value is refused by name."""

import dataclasses
import json

import pytest
from tfx_resampling.options import ImageOptions, InputOptions


def test_input_options_survive_json():
    options = InputOptions(epochs=3, deterministic=True, on_corrupt="skip")
    again = InputOptions.from_dict(json.loads(json.dumps(options.to_dict())))
    assert again == options
    assert InputOptions.from_dict({"epochs": 2}) == InputOptions(epochs=2)


@pytest.mark.parametrize("kind", [InputOptions, ImageOptions])
def test_unknown_options_are_refused_and_known_ones_are_frozen(kind):
    with pytest.raises(TypeError, match="colour"):
        kind(colour="red")
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().key = "x"
