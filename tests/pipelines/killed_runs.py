"""Kills runs of the whole local pipeline at seeded moments, and runs them again.

A process of its own, which has loaded everything and done nothing: every run is a fork
of it. All runs have the same directory, since artifacts have paths in them. Prints one
JSON line behind "killed".
"""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sys
import time

import tensorflow_data_validation  # noqa: F401
import tensorflow_model_analysis  # noqa: F401
import tfx_resampling.trainer.executor  # noqa: F401
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx

from pipelines import pipeline, results, run_local  # noqa: F401

NAME = "tfx-resampling"
COMPONENTS = (
    *("ImportExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator"),
    *("ResamplePlanner", "Resampler", "Trainer", "Evaluator", "Pusher"),
)
# What a run is before its first component.
_START = "start"
# Seconds that a run may take.
_TIME_LIMIT = 600
LIVE = vars(metadata_store_pb2)["Artifact"].LIVE  # Protobuf makes its classes late.


def fork(work) -> int:
    """Runs `work` in a child, the leader of its own group, and returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        code = work() or 0
    finally:
        os._exit(code)


class Runs:
    """Runs of one pipeline in one directory."""

    def __init__(self, folder: str, data: str):
        """Takes a folder, and the directory of the data."""
        self._root = os.path.join(folder, "runs")
        self._log = pathlib.Path(self._root, "logs", f"{NAME}.log")
        self._output = os.path.join(folder, "output.txt")
        self._arguments = [
            *("--runs", self._root, "--data", data, "--seed", "3"),
            *("--target", "sqrt", "--resample", "stratify"),
            *("--batch-size", "32", "--train-steps", "40"),
        ]

    def forget(self) -> None:
        """Deletes what was made."""
        shutil.rmtree(self._root, ignore_errors=True)

    def run(self, kill=None) -> tuple[int | None, dict[str, float]]:
        """Runs the pipeline; returns its exit code, and how long each component took.

        Args:
          kill: (component, seconds after its start) at which to kill it; the exit code
            is None then.
        """
        self._log.unlink(missing_ok=True)  # Of a run before.
        pid = fork(self._run)
        now, began = _START, time.monotonic()
        deadline, seconds = began + _TIME_LIMIT, {}
        while time.monotonic() < deadline:
            done, status = os.waitpid(pid, os.WNOHANG)
            latest = self._component()
            if latest != now:
                seconds[now] = time.monotonic() - began
                now, began = latest, time.monotonic()
            if done:
                seconds[now] = time.monotonic() - began
                return os.waitstatus_to_exitcode(status), seconds
            if kill and kill[0] == now and time.monotonic() - began >= kill[1]:
                break
            time.sleep(0.01)
        os.killpg(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        if time.monotonic() >= deadline:
            raise TimeoutError(f"a run did not end, in {now}")
        return None, seconds

    def _run(self) -> int:
        output = os.open(self._output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(output, descriptor)
        code = run_local.main(self._arguments)
        sys.stdout.flush()
        return code

    def _component(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            text = self._log.read_text(errors="replace")
            if found := re.findall(r"Component (\S+) is running\.", text):
                return found[-1]
        return _START

    def live(self) -> dict[str, list]:
        """Returns "component/output" -> the `_digests` of each live artifact of it."""
        return _asked(self._live)

    def _live(self) -> dict[str, list]:
        store = metadata_store.MetadataStore(
            tfx.orchestration.metadata.sqlite_metadata_connection_config(
                os.path.join(self._root, "metadata.sqlite")
            )
        )
        found: dict[str, list] = {}
        for artifact in store.get_artifacts():
            if artifact.state == LIVE:
                key = "/".join(artifact.uri.split(f"{NAME}/")[1].split("/")[:2])
                found.setdefault(key, []).append(_digests(artifact.uri))
        return found

    @property
    def has_metadata(self) -> bool:
        """Whether there is a store; ML Metadata makes it when it is first asked."""
        return os.path.exists(os.path.join(self._root, "metadata.sqlite"))

    def error(self) -> str:
        """Returns the last lines of all output."""
        return pathlib.Path(self._output).read_text(errors="replace")[-2_000:]


def _asked(work):
    """Returns what `work` returns, done in a child: this process stays clean."""
    read, write = os.pipe()

    def answer():
        with os.fdopen(write, "wb") as pipe:
            pipe.write(json.dumps(work()).encode())

    pid = fork(answer)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def _digests(directory: str) -> dict[str, str]:
    """Returns file -> digest of its contents, of all files of a directory."""
    found = {}
    for folder, _, names in os.walk(directory):
        for path in (os.path.join(folder, name) for name in names):
            # Numbers of executions, which a killed one has used up, are in paths.
            text = re.sub(rb"/\d+(?=[/\"])", b"/N", pathlib.Path(path).read_bytes())
            name = re.sub(r"\d{6,}", "N", os.path.relpath(path, directory))
            found[name] = hashlib.sha256(text).hexdigest()[:12]
    return found


def _common(one: dict[str, str], other: dict[str, str]) -> dict[str, str | None]:
    """Returns the files that two artifacts have, and their digests if they agree."""
    return {
        name: one[name] if one[name] == other[name] else None
        for name in one.keys() & other.keys()
    }


def _is_whole(found: dict[str, str], expected: dict[str, str | None]) -> bool:
    return all(
        name in found and digest in (None, found[name])
        for name, digest in expected.items()
    )


def _moments(tries: int, seed: int, seconds: dict[str, float]):
    """Returns moments to kill at, in all components in turn, and before the first."""
    rng = random.Random(seed)
    places = [*COMPONENTS, _START]
    chosen = [places[number % len(places)] for number in range(tries)]
    # Not its very end: a run is not always as slow.
    return [(place, rng.uniform(0, 0.8 * seconds[place])) for place in chosen]


def main():
    folder, data, tries, seed = sys.argv[1:]
    runs = Runs(folder, data)
    made, seconds = [], {}
    for _ in range(2):  # What differs between them is not compared.
        runs.forget()
        code, seconds = runs.run()
        assert code == 0, runs.error()
        made.append(runs.live())
    expected = {
        key: _common(artifact, made[1][key][0]) for key, (artifact,) in made[0].items()
    }
    found = []
    for moment in _moments(int(tries), int(seed), seconds):
        runs.forget()
        code, _ = runs.run(moment)
        after_kill = runs.live() if runs.has_metadata else {}
        again, _ = runs.run()
        in_the_end = runs.live()
        found.append(
            {
                "moment": moment,
                "was_killed": code is None,
                "live": sorted(after_kill),
                "incomplete": [
                    key
                    for live in (after_kill, in_the_end)
                    for key, artifacts in live.items()
                    if not all(_is_whole(one, expected[key]) for one in artifacts)
                ],
                "again": again,
                "missing": sorted(expected.keys() - in_the_end.keys()),
                "error": runs.error() if again else "",
            }
        )
        print("try", json.dumps(found[-1]), flush=True)
    compared = {
        key: sorted(k for k, v in x.items() if v) for key, x in expected.items()
    }
    answer = {"compared": compared, "components": COMPONENTS, "tries": found}
    print("killed", json.dumps(answer))


if __name__ == "__main__":
    main()
