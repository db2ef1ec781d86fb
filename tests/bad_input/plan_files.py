"""Plan files that are not such as a plan is written."""

import functools
import json
import math
import pathlib

from tfx_resampling.artifacts import read_plan
from tfx_resampling.cli import common
from tfx_resampling.core import plan as plan_lib
from tfx_resampling.core.config import PlannerConfig
from tfx_resampling.core.plan import SCHEMA_VERSION, Plan
from tfx_resampling.fitting.planning import make_plan

from tests import plans
from tests.bad_input.rows import Row, given


@functools.cache
def _valid() -> str:
    counts = plans.counts({"a": 50, "b": 20, "é": 3}, num_unlabeled=4)
    return make_plan(counts, PlannerConfig("label")).to_json()


def _changed(fields: dict) -> str:
    return json.dumps({**json.loads(_valid()), **fields})


def _read(text: str, folder: pathlib.Path) -> Plan:
    return Plan.from_json(text)


def _fields(name: str, fields: dict, message: str) -> Row:
    return Row(name, lambda folder: Plan.from_json(_changed(fields)), message)


_FIELDS = [
    ({"colour": "red"}, r"unknown \['colour'\]"),
    ({"schema_version": SCHEMA_VERSION + 1}, "[Uu]pgrade tfx-resampling"),
    ({"schema_version": "1"}, "schema_version '1'"),
    ({"schema_version": None}, "schema_version None"),
    ({"factors": [1.0, math.nan, 1.0]}, "factors of label 'b' .*finite.* got nan"),
    ({"factors": [1.0, math.inf, 1.0]}, "factors of label 'b' .*got inf"),
    ({"factors": [-0.5, 1.0, 1.0]}, "factors of label 'a' .*>= 0, got -0.5"),
    ({"factors": [1.0, "1", 1.0]}, "factors of label 'b' .*got '1'"),
    ({"factors": [1.0, None, 1.0]}, "factors of label 'b' .*got None"),
    ({"factors": [1.0, True, 1.0]}, "factors of label 'b' .*got True"),
    ({"factors": [1.0, 1.0]}, "factors must have one value per label: 3 labels"),
    ({"target": [1.0, -1.0, 1.0]}, "target of label 'b'"),
    ({"counts": [1, 2, 3, 4]}, "counts must have one value per label"),
    ({"predicted": [1.0, 1.0, math.nan]}, "predicted of label 'é'"),
    ({"predicted_records": math.nan}, "predicted_records must be"),
    ({"unlabeled_factor": -1}, "unlabeled_factor must be"),
    ({"unlabeled_factor": math.inf}, "unlabeled_factor must be"),
    ({"min_factor": -1}, "min_factor must be"),
    ({"max_factor": None}, "max_factor must be"),
    ({"min_factor": 5.0, "max_factor": 4.0}, "min_factor must be <= max_factor"),
    ({"groups": ["a", "a", "b"]}, "groups must be distinct, got 'a' twice"),
    ({"groups": []}, "at least one label"),
    ({"combine": "sum"}, "combine must be one of"),
    ({"schedule": "linear"}, "schedule must be .*'linear:10'"),
    ({"schedule": "step:0"}, "schedule must be .*got 'step:0'"),
    ({"label_sets": {"0 x": 1}}, "places of labels as keys"),
    ({"label_sets": {"0 3": 1}}, "places from 0 to 2, got 0 to 3"),
    ({"label_sets": {"0": -1}}, "label_sets of '0' must be"),
    ({"label_dtype": "string"}, r"label_dtype must be one of \['bytes', 'int64'\]"),
    ({"schema_version": True}, "schema_version True"),
    ({"schema_version": 2.0}, "schema_version 2.0"),
    ({"schema_version": 10**4000}, "schema_version 1000"),
    ({"groups": ["a", "b", "\ud800"]}, "plan is not JSON: .*surrogates not allowed"),
    ({"counts": [1, 2, 2**63]}, r"counts of label 'é' must be .*below 2\*\*63"),
    ({"num_records": 2**63}, r"num_records must be .*below 2\*\*63"),
    ({"factors": [1.0, 1.0, 10**400]}, "factors of label 'é' must be"),
    ({"label_sets": {"99999999999999999999": 1}}, "label_sets must have places"),
    ({"label_sets": {"-1": 1}}, "label_sets must have places from 0"),
    ({"grouping": {"\r": None}}, r"grouping is not valid: .*argument '\\r'"),
    ({"label_sets": {"0": math.nan}}, "label_sets of '0' must be"),
    ({"label_sets": [1]}, "label_sets must be a Mapping"),
    ({"diagnostics": {"mood": 1}}, r"unknown diagnostics \['mood'\]; valid"),
    ({"diagnostics": {"unreached": {"a": 3}}}, r"diagnostics\['unreached'\]\['a'\]"),
    ({"diagnostics": {"clipped": {"a": "x"}}}, r"diagnostics\['clipped'\]\['a'\]"),
    ({"diagnostics": {"imbalance": {"natural": 1}}}, "'natural'.* must be a Mapping"),
    ({"diagnostics": {"imbalance": {"n": {"cvir": None}}}}, "'cvir' in diagnostics"),
    ({"diagnostics": {"largest_factor": math.inf}}, "'largest_factor'.*got inf"),
    ({"diagnostics": {"trade_off": [{}]}}, r"trade_off'\].*'distance'.*got None"),
    ({"diagnostics": {"trade_off": [[1]]}}, "trade_off.* must be a Mapping"),
    ({"provenance": {"options": [1]}}, r"provenance\['options'\] must be a Mapping"),
    ({"provenance": {"options": {"split": 7}}}, "split must be a list of names"),
    ({"provenance": {"x": math.nan}}, "numbers of provenance must be finite"),
    ({"grouping": {"columns": [], "groups": []}}, "groups need at least one column"),
    ({"grouping": {"rows": 1}}, "grouping is not valid"),
    ({"grouping": [1]}, "grouping must be a Grouping"),
    (
        {"grouping": {"columns": [{"name": "x", "dtype": "y"}], "groups": [[0]]}},
        "dtype of column 'x' must be one of",
    ),
    (
        {
            "grouping": {
                "columns": [{"name": "x", "dtype": "int64", "values": ["1"]}],
                "groups": [[0.5]],
            }
        },
        "group .*0.5.* has codes that no column has",
    ),
    (
        {
            "grouping": {
                "columns": [{"name": "x", "dtype": "float", "boundaries": ["1"]}],
                "groups": [[0]],
            }
        },
        "every boundary of 'x' must be",
    ),
    (
        {"label_dtype": "int64", "groups": ["1", "2", "9" * 30]}
        | {"classes": ["1", "2", "9" * 30]},
        "no integer of 64 bits in decimal: '9999",
    ),
    (
        {"label_dtype": "int64", "groups": ["1", "2", "007"]}
        | {"classes": ["1", "2", "007"]},
        "no integer of 64 bits in decimal: '007'",
    ),
]
_TYPES = [
    ("seed", "7"),
    ("seed", -1),
    ("seed", 1.5),
    ("seed", 2**64),
    ("label_key", 5),
    ("groups", "abc"),
    ("groups", [1, 2, 3]),
    ("counts", None),
    ("counts", [1.5, 2.0, 3.0]),
    ("num_records", -1),
    ("num_unlabeled", "none"),
    ("multi_label", "no"),
    ("prediction", "guess"),
    ("warnings", "text"),
    ("provenance", 3),
    ("schedule", 5),
    ("schedule", None),
    ("schedule", {"kind": "linear", "epochs": 5}),
    ("key_features", 5),
    ("key_features", ["id", "id"]),
    ("identity", "name"),
    ("unknown_labels", "ignore"),
    ("unknown_labels", -0.5),
    ("unknown_labels", True),
    ("label_dtype", "int64"),  # The labels are not integers.
]
_TEXTS = [
    ("nothing", "", "plan is not JSON: Expecting value"),
    ("half a plan", '{"schema_version": 2, "label_key": "la', "plan is not JSON"),
    ("a list", "[]", "plan must be a JSON object, got a list"),
    ("a number", "7", "plan must be a JSON object, got a int"),
    ("null", "null", "plan must be a JSON object, got a NoneType"),
    ("Python", "__import__('os').system('true')", "plan is not JSON"),
    ("a pickle", "\x80\x04cos\nsystem\n", "plan is not JSON"),
    ("YAML", "!!python/object/apply:os.system [true]", "plan is not JSON"),
    (
        "a field twice",
        '{"seed": 1, "seed": 2}',
        "plan is not JSON: 'seed' is there twic",
    ),
    ("levels over levels", "[" * 100_000, "plan is not JSON of ours: too many levels"),
    ("levels of objects", '{"a":' * 100_000, "plan is not JSON of ours: too many"),
    (
        "digits over digits",
        '{"seed": ' + "9" * 5_000 + "}",
        "plan is not JSON: Exceeds",
    ),
    ("no version", "{}", "plan must be a JSON object with a schema_version"),
]


def _file(contents: bytes, read, message: str, name: str) -> Row:
    def run(folder):
        path = given(folder) / "plan.json"
        path.write_bytes(contents)
        return read(str(path))

    return Row(name, run, rf"(?i).*plan\.json': {message}")


def _too_long(folder: pathlib.Path) -> Plan:
    path = given(folder) / "plan.json"
    with open(path, "wb") as file:  # It takes no room.
        file.truncate(plan_lib.MAX_BYTES + 1)
    return common.read_plan(str(path))


def _endless(folder: pathlib.Path) -> Plan:
    path = given(folder) / "plan.json"
    path.symlink_to("/dev/zero")
    return common.read_plan(str(path))


ROWS = [
    *(_fields(f"plan field {str(f)[:60]}", f, message) for f, message in _FIELDS),
    *(
        _fields(f"plan field {name} {value!r}"[:80], {name: value}, name.rstrip("s"))
        for name, value in _TYPES
    ),
    *(
        Row(f"plan of {name}", functools.partial(_read, text), message)
        for name, text, message in _TEXTS
    ),
    _file(b"\xff\xfe{}", common.read_plan, "plan is not JSON: 'utf-8'", "no UTF-8"),
    _file(b"\xff\xfe{}", read_plan, "plan is not JSON: 'utf-8'", "artifact, no UTF-8"),
    _file(b"\0" * 100, read_plan, "plan is not JSON", "artifact of zeros"),
    Row("a plan of 256 MB", _too_long, "must have at most 268,435,456 bytes"),
    Row("a plan without end", _endless, "must have at most 268,435,456 bytes"),
    Row(
        "no plan", lambda f: read_plan(str(f)), "no plan at .*It is written by Resampl"
    ),
    Row("a channel for a plan", lambda f: read_plan(None), "a plan must be read from"),
]
