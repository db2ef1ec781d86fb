"""Manifests of shards."""

import json
import math

from tfx_resampling.shards.manifest import manifest_path, read_manifest

from tests.bad_input.rows import Row, given
from tests.shards.test_manifest import LAYOUT

_FIELDS = [
    ({"schema_version": 2}, "schema_version 2, .* reads 1"),
    ({"mode": "else"}, "mode must be one of .*, got 'else'"),
    ({"names": ["a"]}, "records must have one value per shard: 1 shards, got 2"),
    ({"more": 1}, "more"),
    ({"mo\nre": 1}, r"'mo\\nre'"),
    ({"classes": [1]}, "classes must have one value per shard: 2 shards, got 1"),
    ({"names": ["a", "../../etc/passwd"]}, "names must be of files in the directory"),
    ({"names": ["a", ".."]}, "names must be of files in the directory, got '..'"),
    ({"names": ["a", "/etc/passwd"]}, "names must be of files in the directory"),
    ({"names": ["a", 7]}, "every one of names must be a non-empty string, got 7"),
    ({"records": [1, -2]}, "every one of records must be an integer >= 0"),
    ({"lows": [0.1, math.nan]}, "every one of lows must be a finite number"),
    ({"highs": [0.1, "3"]}, "every one of highs must be a finite number"),
    ({"last_uniforms": [7, 2**64]}, r"every one of last_uniforms must be .*2\*\*63"),
    ({"counts": [3]}, "counts must be a Mapping"),
    ({"schema_version": True}, "schema_version True"),
]


def _row(fields: dict, message: str) -> Row:
    def run(folder):
        directory = given(folder) / "shards"
        text = json.dumps({**json.loads(LAYOUT.to_json()), **fields})
        with open(manifest_path(str(directory)), "w") as file:
            file.write(text)
        return read_manifest(str(directory))

    pattern = f".*shards.manifest.json': manifest is not valid: .*{message}"
    return Row(f"manifest of {fields}"[:80], run, pattern)


ROWS = [_row(*row) for row in _FIELDS]
