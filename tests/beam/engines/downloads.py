"""Flink and Beam's job server for it, from PyPI and Maven Central, kept in a cache.

python -m tests.beam.engines.downloads
"""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from typing import NamedTuple

CACHE_VARIABLE = "ENGINES_CACHE"
_CACHE = "~/.cache/tfx-resampling/engines"
_POM = pathlib.Path(__file__).with_name("pom.xml")


class Versions(NamedTuple):
    """Versions that go together.

    Attributes:
      beam: Beam's, in Python and in Java.
      flink: the cluster's.
      job_service: of `beam-runners-java-job-service`; Maven Central's mirrors do not
        all have Beam's own, and any from 2.57 on has the same interface.
    """

    beam: str
    flink: str
    job_service: str

    @property
    def flink_minor(self) -> str:
        return self.flink.rpartition(".")[0]


# By Beam's version. Its job server is of one minor version of Flink, the cluster's.
_KNOWN = {"2.59.0": Versions("2.59.0", "1.16.3", "2.57.0")}


class Downloaded(NamedTuple):
    """What a cluster is started from.

    Attributes:
      libraries: directory of Flink's jars.
      job_server: Beam's job server, one jar.
    """

    libraries: pathlib.Path
    job_server: pathlib.Path


@functools.cache
def missing() -> str:
    """Returns what is missing to run Flink, "" if nothing."""
    beam = version("apache-beam")
    if beam not in _KNOWN:
        return f"Flink is tried with Beam {' and '.join(_KNOWN)} only, not with {beam}"
    if not shutil.which("java"):
        return "java not found, which Flink needs: install a JRE, 11 or 17"
    if (found := _java()) not in (11, 17):
        return f"Flink needs Java 11 or 17, `java` is {found}"
    if not _paths().job_server.exists() and not shutil.which("mvn"):
        return "mvn not found, which downloads Beam's job server: install Maven"
    return ""


def _java() -> int:
    done = subprocess.run(["java", "-version"], capture_output=True, text=True)
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


def _paths() -> Downloaded:
    known = _KNOWN[version("apache-beam")]
    cache = pathlib.Path(os.environ.get(CACHE_VARIABLE, _CACHE)).expanduser()
    server = f"beam-{known.beam}-flink-{known.flink_minor}-job-server.jar"
    return Downloaded(cache / f"flink-{known.flink}", cache / server)


def download() -> Downloaded:
    """Downloads what is not in the cache: 0.5 GB, of which 0.3 GB are kept.

    Raises:
      RuntimeError: a download failed; with what the program said.
    """
    paths, known = _paths(), _KNOWN[version("apache-beam")]
    paths.libraries.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.libraries.parent) as name:
        folder = pathlib.Path(name)
        if not paths.libraries.exists():
            print(f"Flink {known.flink} to {paths.libraries}", flush=True)
            _download_flink(known, folder).rename(paths.libraries)
        if not paths.job_server.exists():
            print(f"Beam's job server to {paths.job_server}", flush=True)
            _package_job_server(known, folder).rename(paths.job_server)
    return paths


def _download_flink(known: Versions, folder: pathlib.Path) -> pathlib.Path:
    """Returns a directory of the jars that a cluster needs, from Flink's sdist."""
    # Not installed: it asks for another Beam.
    _run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--no-binary", ":all:", "--no-build-isolation", "--dest", str(folder)),
        f"apache-flink-libraries=={known.flink}",
    )
    (archive,) = folder.glob("*.tar.gz")
    libraries = folder / "libraries"
    libraries.mkdir()
    with tarfile.open(archive) as files:
        for member in files:
            path = pathlib.PurePath(member.name)
            if "/deps/lib/" in member.name and re.match(
                "flink-(dist|shaded)|log4j", path.name
            ):
                content = files.extractfile(member)
                assert content, member.name
                (libraries / path.name).write_bytes(content.read())
    archive.unlink()
    return libraries


def _package_job_server(known: Versions, folder: pathlib.Path) -> pathlib.Path:
    """Returns one jar of the job server and all that it needs."""
    _run(
        *("mvn", "--batch-mode", "--quiet", "--file", str(_POM), "package"),
        *(f"-Dbuild={folder}", f"-Dbeam={known.beam}"),
        *(f"-Dflink.minor={known.flink_minor}", f"-Djob.service={known.job_service}"),
    )
    return folder / "job-server-1.jar"


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"{' '.join(command)} failed:\n{said}")


if __name__ == "__main__":
    sys.exit(missing() or (download() and None))
