"""Kills pipelines with a Resampler at random moments, and runs them again.

A process of its own, which has loaded everything and done nothing: every run is a fork
of it, so that 20 of them do not load TFX 20 times. Prints one JSON line behind "tries".
"""

import contextlib
import glob
import hashlib
import json
import os
import pathlib
import random
import signal
import sys
import time

import apache_beam  # noqa: F401
import tensorflow  # noqa: F401
import tfx_resampling as tr
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.components.common.importer import Importer
from tfx.orchestration import metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.pipeline import Pipeline
from tfx.types import standard_artifacts
from tfx_resampling.resampler import executor  # noqa: F401

_TWO_WORKERS = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
_TIME_LIMIT = 120
LIVE = vars(metadata_store_pb2)["Artifact"].LIVE  # Protobuf makes its classes late.


def create_pipeline(root, examples_uri, plan_uri, mode, beam_args):
    examples = Importer(
        source_uri=examples_uri,
        artifact_type=standard_artifacts.Examples,
        properties={"split_names": '["train", "eval"]'},
    ).with_id("examples")
    plan = Importer(source_uri=plan_uri, artifact_type=tr.ResamplePlan).with_id("plan")
    resampler = tr.Resampler(
        examples=examples.outputs["result"],
        resample_plan=plan.outputs["result"],
        mode=mode,
    )
    return Pipeline(
        pipeline_name="killed",
        pipeline_root=os.path.join(root, "artifacts"),
        components=[examples, plan, resampler],
        enable_cache=True,
        metadata_connection_config=_connection(root),
        beam_pipeline_args=beam_args,
    )


def _connection(root):
    return metadata.sqlite_metadata_connection_config(
        os.path.join(root, "metadata.sqlite")
    )


def live_outputs(root) -> list:
    """Returns a digest of each directory that ML Metadata calls a finished output."""
    store = metadata_store.MetadataStore(_connection(root))
    if "Examples" not in [kind.name for kind in store.get_artifact_types()]:
        return []
    return [
        digest(artifact.uri)
        for artifact in store.get_artifacts_by_type("Examples")
        if artifact.state == LIVE and artifact.uri.startswith(root)
    ]


def digest(directory) -> str:
    found = hashlib.sha256()
    for folder, folders, names in os.walk(directory):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(folder, name)
            found.update(os.path.relpath(path, directory).encode())
            with open(path, "rb") as file:
                found.update(file.read())
    return found.hexdigest()


def fork(work) -> int:
    """Runs `work` in a child, the leader of its own group, and returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def asked(work):
    """Returns what `work` returns, done in a child: this process stays clean."""
    read, write = os.pipe()
    pid = fork(lambda: os.write(write, json.dumps(work()).encode()))
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(answer)


def wait(pid, until=None):
    """Returns the exit status of a child, or None if it runs at the time `until`."""
    deadline = until or time.monotonic() + _TIME_LIMIT
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status
        time.sleep(0.005)
    if until is None:
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise TimeoutError("a pipeline did not end")
    return None


def worker_of(pid):
    """Returns the pid of a Beam worker among the descendants of a process, if any."""
    for children in glob.glob(f"/proc/{pid}/task/*/children"):
        with contextlib.suppress(OSError):  # A thread or a process that has ended.
            for child in pathlib.Path(children).read_text().split():
                command = pathlib.Path(f"/proc/{child}/cmdline").read_text()
                if "sdk_worker_main" in command:
                    return int(child)
                if found := worker_of(child):
                    return found
    return None


def main():
    folder, examples_uri, plan_uri, tries, seed = sys.argv[1:]
    rng = random.Random(int(seed))
    results = []
    seconds, expected = {}, {}
    for mode in ("materialize", "stratify"):
        root = os.path.join(folder, mode)
        started = time.monotonic()
        run = create_pipeline(root, examples_uri, plan_uri, mode, [])
        status = wait(fork(lambda run=run: LocalDagRunner().run(run)))
        assert status == 0
        seconds[mode] = time.monotonic() - started
        (expected[mode],) = asked(lambda root=root: live_outputs(root))
    for number in range(int(tries)):
        mode = ("materialize", "stratify")[number % 2]
        root = os.path.join(folder, f"try-{number}")
        # One of five tries kills a worker, the others the whole process.
        kills_worker = number % 5 == 3
        beam_args = _TWO_WORKERS if kills_worker else []
        run = create_pipeline(root, examples_uri, plan_uri, mode, beam_args)
        os.makedirs(root, exist_ok=True)
        started = time.monotonic()
        pid = fork(lambda run=run: LocalDagRunner().run(run))
        if kills_worker:
            while (
                victim := worker_of(pid)
            ) is None and time.monotonic() < started + 60:
                time.sleep(0.05)
            # Beam fails then, or gives the work to the other worker.
            was_killed = wait(pid, time.monotonic() + rng.uniform(1, 5)) is None
            if was_killed:
                with contextlib.suppress(ProcessLookupError):  # It has just ended.
                    os.kill(victim, signal.SIGKILL)
                wait(pid)
        else:
            was_killed = wait(pid, started + rng.uniform(0.1, seconds[mode])) is None
            if was_killed:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        after_kill = asked(lambda root=root: live_outputs(root))
        run = create_pipeline(root, examples_uri, plan_uri, mode, [])
        again = wait(fork(lambda run=run: LocalDagRunner().run(run)))
        results.append(
            {
                "was_killed": was_killed,
                "kills_worker": kills_worker,
                "after_kill": [one == expected[mode] for one in after_kill],
                "again": again,
                "in_the_end": [
                    one == expected[mode]
                    for one in asked(lambda root=root: live_outputs(root))
                ],
            }
        )
    print("tries", json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
