"""Writes the golden files: `python -m tests.golden.write`."""

import json
import pathlib
import shutil

import apache_beam as beam
from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.beam.write import write_resampled
from tfx_resampling.shards import classes
from tfx_resampling.shards.manifest import manifest_path

from tests import tfrecords
from tests.golden import made


def main() -> None:
    tfrecords.write(made.RECORDS, made.records())
    plans = made.plans()
    plan = plans["sqrt"]
    expected = {
        "plans": {name: json.loads(one.to_json()) for name, one in plans.items()},
        "samples": {
            name: made.samples(plan, **identity)
            for name, identity in made.IDENTITIES.items()
        },
        "draws": made.draws(),
    }
    lines = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in expected.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    (made.FOLDER / "expected.json").write_text(text)
    shutil.rmtree(made.SHARDS, ignore_errors=True)
    pathlib.Path(manifest_path(made.SHARDS)).unlink(missing_ok=True)
    classes.MIN_SHARD_BYTES, classes.MAX_SHARD_BYTES = 2_000, 10_000  # Several.
    write_resampled(
        {made.SHARDS: [made.RECORDS]},
        plan,
        ResampleOptions(mode="stratify"),
        beam.Pipeline,
    )


if __name__ == "__main__":
    main()
