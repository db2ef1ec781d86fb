"""The command of TFX's containers on the open-source Kubeflow Pipelines backend.

    python -m tfx_resampling.kubeflow [arguments of TFX's own command]

Runs TFX's own command, `kubeflow_v2_run_executor`, which was made for Vertex AI. There,
this changes nothing. The open-source backend differs in four ways, each of which makes
tasks fail. They are undone here, for any component:

- It adds an output `executor-logs` of a type that TFX cannot import.
- It leaves the type of input artifacts empty. The arguments have it a second time.
- It downloads each input artifact. The empty objects `name/` with which TensorFlow
  marks directories on `gs://` are in its way; they are removed in the end.
- Libraries that abort while the interpreter ends make a finished task a failed one. So
  the process ends without that, once everything is written.

Kubeflow is told from Vertex AI by the output file, which is local on Kubeflow.
"""

import json
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import Any

KUBEFLOW_COMMAND = ["python", "-m", "tfx_resampling.kubeflow"]
"""For `KubeflowV2DagRunnerConfig(default_commands=KUBEFLOW_COMMAND)`."""

_TFX = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"
_INVOCATION = "--json_serialized_invocation_args"
_INPUTS_SPEC = "--json_serialized_inputs_spec_args"
# Of the backend's launcher, which also writes it.
_LOGS = "executor-logs"


def main(argv: list[str]) -> None:
    """Runs TFX's command with `argv`; on Kubeflow, ends the process."""
    text = _argument(argv, _INVOCATION)
    invocation = json.loads(text) if text else {}
    if not _is_open_source(invocation):
        _run_tfx(argv)
        return
    inputs_spec = json.loads(_argument(argv, _INPUTS_SPEC) or "{}")
    mended = mend_invocation(invocation, inputs_spec)
    code = 1
    try:
        _run_tfx(_with_argument(argv, _INVOCATION, json.dumps(mended)))
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    if not code:
        remove_directory_markers(_output_uris(mended))
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def mend_invocation(
    invocation: Mapping[str, Any], inputs_spec: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns an ExecutorInput of the open-source backend as TFX can read it.

    Args:
      invocation: the ExecutorInput, as JSON.
      inputs_spec: the ComponentInputsSpec of the component, as JSON.
    """
    result = json.loads(json.dumps(invocation))
    result.get("outputs", {}).get("artifacts", {}).pop(_LOGS, None)
    declared = inputs_spec.get("artifacts", {})
    for name, artifacts in result.get("inputs", {}).get("artifacts", {}).items():
        for artifact in artifacts.get("artifacts", ()):
            # {} or {"instanceSchema": ""}.
            if not any(artifact.get("type", {}).values()) and name in declared:
                artifact["type"] = declared[name]["artifactType"]
    return result


def remove_directory_markers(uris: Iterable[str]) -> None:
    """Removes the objects `directory/` below directories of a bucket."""
    uris = [uri for uri in uris if "://" in uri]
    if not uris:
        return
    import tensorflow as tf

    for uri in uris:
        if not tf.io.gfile.isdir(uri):
            continue
        # From the leaves, as an empty directory is there by its marker only.
        for directory, _, _ in tf.io.gfile.walk(uri, topdown=False):
            try:
                tf.io.gfile.remove(f"{directory.rstrip('/')}/")
            except tf.errors.NotFoundError:
                pass  # A directory without a marker.


def _is_open_source(invocation: Mapping[str, Any]) -> bool:
    output_file = invocation.get("outputs", {}).get("outputFile", "")
    return bool(output_file) and "://" not in output_file


def _output_uris(invocation: Mapping[str, Any]) -> list[str]:
    lists = invocation.get("outputs", {}).get("artifacts", {}).values()
    return [one["uri"] for artifacts in lists for one in artifacts["artifacts"]]


def _run_tfx(argv: list[str]) -> None:
    sys.argv[1:] = argv
    runpy.run_module(_TFX, run_name="__main__", alter_sys=True)


def _argument(argv: list[str], name: str) -> str | None:
    """Returns the value of an argument, `NAME VALUE` or `NAME=VALUE`."""
    for index, argument in enumerate(argv):
        if argument == name and index + 1 < len(argv):
            return argv[index + 1]
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
    return None


def _with_argument(argv: list[str], name: str, value: str) -> list[str]:
    result = list(argv)
    for index, argument in enumerate(argv):
        if argument == name:
            result[index + 1] = value
        elif argument.startswith(f"{name}="):
            result[index] = f"{name}={value}"
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
