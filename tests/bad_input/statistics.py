"""Statistics files of TFDV."""

from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_resampling.planner import feature_statistics

from tests.bad_input.rows import Row, given

_Feature = statistics_pb2.FeatureNameStatistics


def _dataset(**fields) -> bytes:
    """Returns statistics of 10 examples and one feature "y", of these fields."""
    feature = _Feature(name="y", **{"type": _Feature.STRING, **fields})
    dataset = statistics_pb2.DatasetFeatureStatistics(
        num_examples=10, features=[feature]
    )
    made = statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset])
    return made.SerializeToString()


def _strings(buckets: dict, unique: int, values: int, **fields):
    histogram = statistics_pb2.RankHistogram(
        buckets=[
            statistics_pb2.RankHistogram.Bucket(label=label, sample_count=count)
            for label, count in buckets.items()
        ]
    )
    return statistics_pb2.StringStatistics(
        unique=unique,
        rank_histogram=histogram,
        common_stats=statistics_pb2.CommonStatistics(
            tot_num_values=values, max_num_values=1
        ),
        **fields,
    )


def counted(buckets: dict) -> bytes:
    """Returns whole statistics of single labels, with the count of each."""
    size = sum(buckets.values())
    return _dataset(string_stats=_strings(buckets, len(buckets), size))


_NO_FILE = "is no FeatureStats.pb of TFDV"
_FILES = [
    ("text", b"label,count\na,3\n", "y", _NO_FILE),
    ("half of it", _dataset()[:-3], "y", _NO_FILE),
    ("a pickle", b"\x80\x04\x95cos\nsystem\n.", "y", _NO_FILE),
    ("nothing", b"", "y", "empty statistics: no examples of split 'train'"),
    ("another label", _dataset(), "z", r"'z' is not in .*which have \['y'\]"),
    (
        "integers",
        _dataset(type=_Feature.INT, num_stats=statistics_pb2.NumericStatistics()),
        *("y", "numeric .* is_categorical: true"),
    ),
    (
        "floats",
        _dataset(type=_Feature.FLOAT, num_stats=statistics_pb2.NumericStatistics()),
        *("y", "num_stats of type FLOAT"),
    ),
    (
        "images",
        _dataset(bytes_stats=statistics_pb2.BytesStatistics()),
        *("y", "bytes_stats of type STRING"),
    ),
    (
        "bytes that are no text",
        _dataset(string_stats=_strings({"a": 9}, 1, 9, invalid_utf8_count=1)),
        *("y", r"not UTF-8 in .*\(1 of them\)"),
    ),
    (
        "a part of the labels",
        _dataset(string_stats=_strings({"a": 4}, 3, 9)),
        *("y", "truncated rank histogram .* 1 of 3 labels"),
    ),
    (
        "a part of the values",
        _dataset(string_stats=_strings({"a": 4}, 1, 9)),
        *("y", "truncated rank histogram"),
    ),
    (
        "no label at all",
        _dataset(string_stats=_strings({}, 0, 0)),
        *("y", "'y' has no labels: 10 records"),
    ),
    (
        "more labels than records",
        _dataset(string_stats=_strings({"a": 90}, 1, 90)),
        *("y", "num_unlabeled must be from 0"),
    ),
    (
        "a negative count",
        _dataset(string_stats=_strings({"a": -4, "b": 13}, 2, 9)),
        *("y", "must be finite numbers >= 0, got -4.0 of label 'a'"),
    ),
    (
        "a count that is no number",
        _dataset(string_stats=_strings({"a": float("nan")}, 1, 9)),
        *("y", "counts of 'y' .* must be finite numbers >= 0, got nan of label 'a'"),
    ),
    (
        "a count without end",
        _dataset(string_stats=_strings({"a": float("inf")}, 1, 9)),
        *("y", "counts of 'y' .* must be finite numbers >= 0, got inf of label 'a'"),
    ),
]


def _row(name: str, contents: bytes, label_key: str, message: str) -> Row:
    def run(folder):
        path = given(folder) / "FeatureStats.pb"
        path.write_bytes(contents)
        return feature_statistics.from_file(str(path), "train", label_key)

    return Row(f"statistics with {name}", run, message)


ROWS = [_row(*row) for row in _FILES]
