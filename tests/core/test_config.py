"""PlannerConfig: what is parsed, what is refused, and the way back to JSON."""

import dataclasses
import json
import math

import numpy as np
import pytest
from tfx_resampling.core import config, draws
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.groups import Bucket
from tfx_resampling.options import ImageOptions, InputOptions


@pytest.mark.parametrize(
    "name, value, parsed",
    [
        ("size", None, None),
        ("size", "auto", None),  # Of runtime parameters, which cannot be None.
        ("size", "preserve", "preserve"),
        ("size", "undersample", "undersample"),
        ("size", "oversample", "oversample"),
        ("size", "ratio:0.5", 0.5),
        ("size", "records:200", 200),
        ("size", 0.5, 0.5),
        ("size", 1.0, 1.0),
        ("size", 200, 200),
        ("min_factor", "0.25", 0.25),
        ("min_factor", 1, 1.0),
        ("max_factor", 1_000_000, 1e6),
        ("max_factor", "3", 3.0),
        ("unlabeled", "keep", "keep"),
        ("unlabeled", "drop", "drop"),
        ("unlabeled", "0.5", 0.5),
        ("unlabeled", 2, 2.0),
        ("target", '{"a": 0.5, "b": 0.5}', {"a": 0.5, "b": 0.5}),
        ("target", '{"a": 10}', {"a": 10}),
        ("target", {"a": 10}, {"a": 10}),
        ("target", "sqrt", "sqrt"),
        ("combine", "mean", "mean"),
        ("seed", 2**63 - 1, 2**63 - 1),
        ("key_features", "", ()),
        ("key_features", "id", ("id",)),
        ("key_features", ["a,b", "c"], ("a,b", "c")),
        ("key_features", "site, id", ("site", "id")),
        ("key_features", '["a,b", "c"]', ("a,b", "c")),
        ("unknown_labels", "0.5", 0.5),
        ("schedule", "constant", "constant"),
        ("schedule", "linear:10", "linear:10"),
        ("schedule", "step:5", "step:5"),
    ],
)
def test_options_are_parsed(name, value, parsed):
    result = getattr(PlannerConfig("label", **{name: value}), name)
    assert result == parsed
    assert type(result) is type(parsed)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"label_key": ""}, "label_key must be a non-empty string, got ''"),
        ({"label_key": None}, "label_key must be a non-empty string, got None"),
        ({"label_key": b"label"}, "label_key must be"),
        ({"split": ""}, "split must be a list of names, or names with commas.*got ''"),
        ({"split": 1}, "split must be a list of names, or names with commas.*got 1"),
        ({"split": "a,,b"}, "split must be a list of names"),
        ({"keep_natural": 3}, "keep_natural must be a list of names, or names with"),
        ({"keep_natural": '["a"'}, "keep_natural must be a list of names"),
        ({"target": "even"}, "target must be .*got 'even'"),
        ({"target": {}}, "target must name at least one label"),
        ({"size": 1}, "size must be .*got 1"),  # As many as before is 1.0.
        ({"size": "records:1"}, "size must be .*got 'records:1'"),
        ({"size": 0}, "size must be .*got 0"),
        ({"size": -5}, "size must be .*got -5"),
        ({"size": 0.0}, "size must be .*got 0.0"),
        ({"size": -0.5}, "size must be .*got -0.5"),
        ({"size": math.nan}, "size must be .*got nan"),
        ({"size": math.inf}, "size must be .*got inf"),
        ({"size": True}, "size must be .*got True"),
        ({"size": "half"}, "size must be .*got 'half'"),
        ({"size": "0.5"}, "size must be .*'ratio:0.5'.*got '0.5'"),
        ({"size": "ratio:"}, "size must be"),
        ({"size": "ratio:nan"}, "size must be"),
        ({"size": "records:2.5"}, "size must be"),
        ({"size": [2]}, "size must be"),
        ({"min_factor": -0.1}, "min_factor must be a number from 0 .*got -0.1"),
        ({"min_factor": math.nan}, "min_factor must be .*got nan"),
        ({"min_factor": True}, "min_factor must be .*got True"),
        ({"min_factor": "few"}, "min_factor must be .*got 'few'"),
        ({"min_factor": None}, "min_factor must be .*got None"),
        ({"max_factor": math.inf}, "max_factor must be .*got inf"),
        ({"max_factor": 1e6 + 1}, r"max_factor must be a number from 0 to 1e\+06"),
        ({"max_factor": -1}, "max_factor must be"),
        ({"max_factor": 0}, r"at least 2\*\*-32, got 0.* nothing would be emitted"),
        ({"max_factor": 5e-324}, r"max_factor must be at least 2\*\*-32, got 5e-324"),
        ({"min_factor": 3, "max_factor": 2}, "min_factor must be <= max_factor"),
        ({"min_factor": 200}, "min_factor must be <= max_factor, got 200.0 > 100.0"),
        ({"combine": "sum"}, "combine must be one of .*'mean'.*got 'sum'"),
        ({"combine": None}, "combine must be one of"),
        ({"unlabeled": "ignore"}, r"unlabeled must be .*'ignore'.*\['keep', 'drop'\]"),
        ({"unlabeled": -1}, "unlabeled must be"),
        ({"unlabeled": False}, "unlabeled must be .*got False"),
        ({"unlabeled": math.nan}, "unlabeled must be"),
        (
            {"unknown_labels": "ignore"},
            r"unknown_labels must be .*'ignore'.*\['error'\]",
        ),
        ({"unknown_labels": -0.5}, "unknown_labels must be .*got -0.5"),
        ({"unknown_labels": math.nan}, "unknown_labels must be .*got nan"),
        ({"unknown_labels": math.inf}, "unknown_labels must be .*got inf"),
        ({"unknown_labels": True}, "unknown_labels must be .*got True"),
        ({"key_features": 5}, "key_features must be a list of names.*got 5"),
        ({"key_features": ["a", ""]}, "key_features must be a list of names"),
        ({"key_features": "[a"}, r"key_features must be .*got '\[a'"),
        ({"key_features": "a,a"}, "key_features must have each name once, got 'a,a'"),
        ({"identity": "name"}, r"identity must be one of \['content', .*got 'name'"),
        (
            {"identity": "position", "key_features": "id"},
            r"key_features must be left out with identity='position', got \['id'\]",
        ),
        ({"seed": -1}, "seed must be an integer >= 0 and below 2.*63, got -1"),
        ({"seed": 2**63}, "seed must be"),
        ({"seed": 1.0}, "seed must be .*got 1.0"),
        ({"seed": "1"}, "seed must be"),
        ({"seed": True}, "seed must be .*got True"),
        ({"on_unreachable": "ignore"}, "on_unreachable must be one of .*got 'ignore'"),
        ({"tolerance": -0.1}, "tolerance must be"),
        ({"tolerance": 1.5}, "tolerance must be a distance from 0 to 1, got 1.5"),
        ({"tolerance": math.nan}, "tolerance must be"),
        ({"schedule": "cosine"}, "schedule must be 'constant', .*got 'cosine'"),
        ({"schedule": "linear"}, "number of epochs is missing: write 'linear:10'"),
        ({"schedule": "step:0"}, "schedule must be .*got 'step:0'"),
        ({"schedule": None}, "schedule must be .*got None"),
        ({"target": {"a": 5}, "size": 0.5}, "size must be left out"),
        ({"target": "repeat_threshold:0.1", "size": "preserve"}, "size must be left"),
    ],
)
def test_bad_options_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        PlannerConfig(**{"label_key": "label", **options})


def test_unknown_options_are_refused():
    with pytest.raises(TypeError, match="temperature"):
        PlannerConfig("label", temperature=0.5)


def test_options_cannot_be_changed_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        PlannerConfig("label").seed = 3


@pytest.mark.parametrize(
    "unlabeled, factor", [("keep", 1.0), ("drop", 0.0), (0.5, 0.5), ("0.25", 0.25)]
)
def test_unlabeled_is_a_factor(unlabeled, factor):
    assert PlannerConfig("label", unlabeled=unlabeled).unlabeled_factor == factor


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target": "power:0.3", "size": "undersample", "seed": 9},
        {"size": 0.3},
        {"size": 1e-7},
        {"size": 20_000, "combine": "max", "unlabeled": "drop"},
        {"target": {"a": 0.25}, "min_factor": 0.1, "max_factor": 8},
        {"target": {"a": 10, "é": 3}, "unlabeled": 0.1, "split": "eval"},
        {"schedule": "linear:10"},
        {"key_features": ("image/id",), "unknown_labels": 0.3},
        {"keep_natural": ["site=a, age=[1, 2)", "b"], "split": ["train", "extra"]},
    ],
)
def test_to_dict_survives_json(options):
    made = PlannerConfig("label", **options)
    assert PlannerConfig(**json.loads(json.dumps(made.to_dict()))) == made


def test_options_are_described_once():
    fields = {field.name: field for field in config.option_fields(PlannerConfig)}
    assert list(fields) == [field.name for field in dataclasses.fields(PlannerConfig)]
    assert all(field.help.endswith(".") for field in fields.values())
    assert fields["combine"].choices == config.COMBINE_RULES
    wires = {name: field.wire for name, field in fields.items()}
    assert {name for name, wire in wires.items() if wire is not str} == {
        *("min_factor", "max_factor", "tolerance", "min_epoch", "seed")
    }
    assert wires["seed"] is int
    made = PlannerConfig("y", target={"a": 0.5}, size=7, unlabeled=2, group_by=())
    carried = {name: f.format(getattr(made, name)) for name, f in fields.items()}
    assert carried["target"] == '{"a": 0.5}' and carried["size"] == "records:7"
    assert all(type(v) is wires[k] for k, v in carried.items() if v is not None)
    assert PlannerConfig(**carried) == made
    assert [fields[name].required for name in ("label_key", "size")] == [True, False]


def test_input_options_are_described_in_the_same_way():
    fields = {field.name: field for field in config.option_fields(InputOptions)}
    assert all(field.help.endswith(".") for field in fields.values())
    assert fields["deterministic"].wire is bool and fields["epochs"].wire is int
    assert fields["shuffle_records"].default == 10_000
    assert "epochs" not in [
        field.name for field in config.option_fields(InputOptions, ["epochs"])
    ]


@pytest.mark.parametrize(
    "size, text",
    [
        (None, None),
        ("preserve", "preserve"),
        (0.5, "ratio:0.5"),
        (1.0, "ratio:1.0"),
        (200, "records:200"),
    ],
)
def test_sizes_have_a_string_form(size, text):
    assert config.format_size(size) == text
    assert PlannerConfig("label", size=text).size == size


@pytest.mark.parametrize("value", [["x"], '["x"]', "x"])
def test_names_are_a_list_or_one_of_them(value):
    assert PlannerConfig("label", keep_natural=value).keep_natural == ("x",)


@pytest.mark.parametrize("value", [["train", "extra"], "train,extra", "train, extra"])
def test_splits_are_a_list_or_separated_by_commas(value):
    made = PlannerConfig("label", split=value)
    assert made.split == "train,extra" and made.splits == ("train", "extra")


@pytest.mark.parametrize("target", ["sqrt", {"a": 0.5}, {"a": 7, "é": 1}])
def test_targets_have_a_string_form(target):
    text = config.format_target(target)
    assert isinstance(text, str)
    assert PlannerConfig("label", target=text).target == target


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: PlannerConfig("l", seed=np.int64(3)), "got 3 (int64)."),
        (lambda: PlannerConfig("l", size=np.float64(-0.5)), "got -0.5."),
        (lambda: PlannerConfig("l", max_factor=np.float32(-2)), "got -2.0."),
        (lambda: PlannerConfig("l", tolerance=np.float64(1.5)), "got 1.5."),
        (lambda: PlannerConfig("l", target={"a": np.float64(-1)}), "got -1.0."),
        (lambda: PlannerConfig("l", combine=np.str_("sum")), "got 'sum'."),
        (lambda: PlannerConfig("l", split=[np.str_("a")] * 2), "got ['a', 'a']."),
        (lambda: InputOptions(epochs=np.int64(3)), "got 3 (int64)."),
        (lambda: InputOptions(deterministic=np.int64(1)), "got 1."),
        (lambda: ImageOptions(scale=np.float64(-1)), "got -1.0."),
        (lambda: ImageOptions(size=(np.int64(8),)), "got (8,)."),
        (lambda: Bucket("x", boundaries=[np.float64(2), 1]), "got [2.0, 1]."),
        (lambda: draws.cumulative_factors([1.0], np.float64(2), 1), "got 2.0."),
    ],
)
def test_messages_show_numbers_of_numpy_as_python_does(make, message):
    with pytest.raises(ValueError) as raised:
        make()
    assert message in str(raised.value)


def test_numbers_of_numpy_are_taken_as_python_s():
    shares = {np.str_("a"): np.float64(0.25), "b": np.float32(0.75)}
    for options, expected in (
        ({"size": np.float64(0.5)}, {"size": "ratio:0.5"}),
        ({"size": np.int64(300)}, {"size": "records:300"}),
        ({"target": {"a": np.int64(3)}}, {"target": {"a": 3}}),
        ({"target": shares}, {"target": {"a": 0.25, "b": 0.75}}),
    ):
        found = json.dumps(PlannerConfig("l", **options).to_dict())
        assert json.loads(found).items() >= expected.items()
        assert "np." not in repr(PlannerConfig("l", **options))
