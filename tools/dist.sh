#!/usr/bin/env bash
# tools/dist.sh PYTHON: wheel, source archive and list of licences, into dist/.
# The wheel is built of the source archive, so that this one is known to be whole.
set -euo pipefail
python=$1
"$python" -m uv build --quiet --no-build-isolation --python "$python" --out-dir dist .
"$python" tools/licences.py tfx kfp plot > dist/licences.tsv
