"""Writes the golden files: `python -m tests.golden.write`."""

import json
import pathlib
import shutil

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
    made.write_shards(made.SHARDS, plan)


if __name__ == "__main__":
    main()
