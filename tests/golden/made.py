"""Makes, with the installed versions, what the golden files of this folder hold."""

import dataclasses
import hashlib
import pathlib
from unittest import mock

import tfx_resampling as tr
from tfx_resampling.shards import classes

from tests import tfrecords

FOLDER = pathlib.Path(__file__).parent
RECORDS = str(FOLDER / "records.tfrecord")
SHARDS = str(FOLDER / "shards")
EPOCHS = 2
TARGETS = ("natural", "uniform", "sqrt", "effective:0.99", "power:0.3")
CONFIGS = {
    **{target: tr.PlannerConfig("label", target=target, seed=5) for target in TARGETS},
    "shares": tr.PlannerConfig("label", target={"a": 0.4, "b": 0.35, "c": 0.25}),
    "max": tr.PlannerConfig("label", target="sqrt", combine="max", size="ratio:0.5"),
    "groups": tr.PlannerConfig("label", target="uniform", group_by=("site", "day")),
}
# What a record may be known by.
IDENTITIES = {
    "content": {},
    "bytes": {"identity": "bytes"},
    "position": {"identity": "position"},
    "site, image/id": {"key_features": ("site", "image/id")},
}


def records() -> list[bytes]:
    """Returns 400 records of a long tail of label sets."""
    sets = ["a"] * 12 + ["b"] * 4 + ["ab"] * 2 + ["c", ""]
    return [
        tfrecords.example(
            {
                "image/id": i,
                "label": [letter.encode() for letter in sets[i * 7 % 20]],
                "site": b"north" if i % 3 else b"south",
                "day": i % 4,
                "size": i / 8,
            }
        )
        for i in range(400)
    ]


def plans() -> dict[str, tr.Plan]:
    """Returns the plan of each of CONFIGS, without the paths that it was made of."""
    columns = {config.group_by for config in CONFIGS.values()}
    counts = {
        group_by: tr.count_labels(RECORDS, "label", group_by=group_by)
        for group_by in columns
    }
    return {
        name: dataclasses.replace(
            tr.make_plan(counts[config.group_by], config), provenance={}
        )
        for name, config in CONFIGS.items()
    }


def samples(plan: tr.Plan, files: str = RECORDS, **identity) -> dict:
    """Returns what two epochs emit, in order: ids, and a digest of all seeds."""
    found = tfrecords.batches(
        files,
        dataclasses.replace(plan, **identity),
        epochs=EPOCHS,
        deterministic=True,
        shuffle_records=100,
    )
    seeds = [seed for _, batch in found for seed in batch]
    return {
        "ids": [number for ids, _ in found for number in ids],
        "seeds": hashlib.sha256(repr(seeds).encode()).hexdigest(),
    }


def write_shards(directory: str, plan: tr.Plan) -> None:
    """Lays the records out in several shards of like factors; needs the extra beam."""
    import apache_beam as beam
    from tfx_resampling.beam.resample_options import ResampleOptions
    from tfx_resampling.beam.write import write_resampled

    sizes = {"MIN_SHARD_BYTES": 2_000, "MAX_SHARD_BYTES": 10_000}
    with mock.patch.multiple(classes, **sizes):
        write_resampled(
            {directory: [RECORDS]}, plan, ResampleOptions("stratify"), beam.Pipeline
        )


def draws() -> list[int]:
    """Returns rows that a generator draws from a table, by the weights of groups."""
    rows = [{"id": i, "label": "a" if i % 10 else "b"} for i in range(100)]
    generator = tr.DataGenerator(
        rows, 20, True, True, "label", "square root", 3, output_structure="id"
    )
    return [
        i for batch in generator.get_dataset().take(10) for i in batch.numpy().tolist()
    ]
