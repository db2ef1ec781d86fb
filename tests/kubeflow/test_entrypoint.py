"""The command of the containers: what it changes, and that it changes nothing else."""

import json
import os
import subprocess
import sys

import pytest
from tfx_resampling import kubeflow

EXAMPLES = {"instanceSchema": "title: tfx.Examples\ntype: object\n"}
SPEC = {"artifacts": {"examples": {"artifactType": EXAMPLES}}}


def invocation(output_file, uri="gs://bucket/statistics", type_=None):
    examples = {"name": "7", "uri": "gs://bucket/examples", "type": type_ or {}}
    statistics = {"name": "statistics", "uri": uri, "type": {"schemaTitle": "a.B"}}
    logs = {"name": "executor-logs", "uri": f"{uri}-logs"}
    logs["type"] = {"schemaTitle": "system.Artifact"}
    return {
        "inputs": {
            "parameterValues": {"n": 3, "x": 0.5},
            "artifacts": {"examples": {"artifacts": [examples]}},
        },
        "outputs": {
            "artifacts": {
                "statistics": {"artifacts": [statistics]},
                "executor-logs": {"artifacts": [logs]},
            },
            "outputFile": output_file,
        },
    }


def arguments(executor_input):
    return [
        *("--executor_class_path", "a.Executor", "--x", "y"),
        *("--json_serialized_invocation_args", json.dumps(executor_input)),
        *("--json_serialized_inputs_spec_args", json.dumps(SPEC)),
    ]


@pytest.mark.parametrize("empty", [{}, {"instanceSchema": ""}, {"schemaTitle": ""}])
def test_types_of_inputs_come_from_the_spec_and_the_log_is_no_output(empty):
    given = invocation("/gcs/bucket/output.json", type_=empty)
    mended = kubeflow.mend_invocation(given, SPEC)
    (examples,) = mended["inputs"]["artifacts"]["examples"]["artifacts"]
    assert examples == {"name": "7", "uri": "gs://bucket/examples", "type": EXAMPLES}
    assert list(mended["outputs"]["artifacts"]) == ["statistics"]
    assert mended["inputs"]["parameterValues"] == {"n": 3, "x": 0.5}
    assert list(given["outputs"]["artifacts"]) == ["statistics", "executor-logs"]


def test_a_type_that_is_there_stays():
    own = {"schemaTitle": "tfx_resampling.ResamplePlan"}
    mended = kubeflow.mend_invocation(invocation("/x", type_=own), SPEC)
    (examples,) = mended["inputs"]["artifacts"]["examples"]["artifacts"]
    assert examples["type"] == own


class Ended(Exception):
    """Instead of the end of this process; its argument is the exit code."""


@pytest.fixture
def ran(monkeypatch):
    """The arguments that TFX's command was run with."""
    result = []

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(kubeflow, "_run_tfx", result.append)
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    return result


def test_vertex_ai_runs_the_command_of_tfx_as_it_is(ran):
    argv = arguments(invocation("gs://bucket/task/executor_output.json"))
    kubeflow.main(argv)
    assert ran == [argv]


@pytest.mark.parametrize("join", [False, True])
def test_kubeflow_runs_the_command_of_tfx_with_what_it_can_read(ran, join):
    given = invocation("/gcs/bucket/output.json", uri="/a/local/directory")
    argv = arguments(given)
    if join:
        argv = [*argv[:4], "=".join(argv[4:6]), "=".join(argv[6:8])]
    with pytest.raises(Ended, match="0"):
        kubeflow.main(argv)
    expected = arguments(kubeflow.mend_invocation(given, SPEC))
    if join:
        expected = [*expected[:4], "=".join(expected[4:6]), "=".join(expected[6:8])]
    assert ran == [expected]


@pytest.mark.parametrize(
    ("error", "code"),
    [(SystemExit(), 0), (SystemExit(3), 3), (SystemExit("no"), 1), (KeyError("x"), 1)],
)
def test_the_exit_code_is_that_of_the_executor(monkeypatch, ran, error, code, capsys):
    def fail(argv):
        raise error

    monkeypatch.setattr(kubeflow, "_run_tfx", fail)
    with pytest.raises(Ended, match=str(code)):
        kubeflow.main(arguments(invocation("/gcs/x.json", uri="/local")))
    assert ("KeyError" in capsys.readouterr().err) == isinstance(error, KeyError)


def test_what_aborts_at_the_end_of_the_interpreter_does_not_fail_the_task():
    code = (
        "import atexit, os, sys; from tfx_resampling import kubeflow;"
        "atexit.register(os.abort); print('done');"
        "kubeflow._run_tfx = lambda argv: sys.exit(0); kubeflow.main(sys.argv[1:])"
    )
    argv = arguments(invocation("/gcs/x.json", uri="/local"))
    done = subprocess.run(
        [sys.executable, "-c", code, *argv], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_importing_the_command_loads_no_framework():
    code = "import sys, tfx_resampling.kubeflow; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"tensorflow", "tfx", "kfp"} & set(done.stdout.split())
