"""Flink, Spark and Beam's job servers, from PyPI and Maven Central, kept in a cache.

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
_SPARK_POM = pathlib.Path(__file__).with_name("spark-pom.xml")


class Versions(NamedTuple):
    """Versions that go together.

    Attributes:
      beam: Beam's, in Python and in Java.
      flink: the cluster's.
      spark: the cluster's; Beam's job server has classes of this one.
      job_service: of `beam-runners-java-job-service`; Maven Central's mirrors do not
        all have Beam's own, and any from 2.57 on has the same interface.
    """

    beam: str
    flink: str
    spark: str
    job_service: str

    @property
    def flink_minor(self) -> str:
        return self.flink.rpartition(".")[0]


# By Beam's version. Its job server is of one minor version of Flink, the cluster's.
_KNOWN = {"2.59.0": Versions("2.59.0", "1.16.3", "3.2.2", "2.57.0")}


class Downloaded(NamedTuple):
    """What a Flink cluster is started from.

    Attributes:
      libraries: directory of Flink's jars.
      job_server: Beam's job server, one jar.
    """

    libraries: pathlib.Path
    job_server: pathlib.Path


class SparkJars(NamedTuple):
    """What a Spark cluster is started from.

    Attributes:
      home: directory with Spark's "jars".
      beam: directory of the jars of Beam's job server that Spark does not have.
    """

    home: pathlib.Path
    beam: pathlib.Path


@functools.cache
def missing() -> str:
    """Returns what is missing to run the engines, "" if nothing."""
    beam = version("apache-beam")
    if beam not in _KNOWN:
        return f"engines are tried with Beam {' and '.join(_KNOWN)}, not with {beam}"
    if not shutil.which("java"):
        return "java not found, which engines need: install a JRE, 11 or 17"
    if (found := _java()) not in (11, 17):
        return f"engines need Java 11 or 17, `java` is {found}"
    from_maven = _paths().job_server, _spark_paths().beam
    if not all(path.exists() for path in from_maven) and not shutil.which("mvn"):
        return "mvn not found, which downloads Beam's job servers: install Maven"
    return ""


def _java() -> int:
    done = subprocess.run(["java", "-version"], capture_output=True, text=True)
    found = re.search(r'version "(\d+)', done.stderr)
    return int(found[1]) if found else 0


def _cache() -> pathlib.Path:
    return pathlib.Path(os.environ.get(CACHE_VARIABLE, _CACHE)).expanduser()


def _spark_paths() -> SparkJars:
    known, cache = _KNOWN[version("apache-beam")], _cache()
    home = cache / f"spark-{known.spark}"
    return SparkJars(home, cache / f"beam-{known.beam}-spark-{known.spark}")


def _paths() -> Downloaded:
    known, cache = _KNOWN[version("apache-beam")], _cache()
    server = f"beam-{known.beam}-flink-{known.flink_minor}-job-server.jar"
    return Downloaded(cache / f"flink-{known.flink}", cache / server)


def download() -> Downloaded:
    """Downloads what Flink needs and is not in the cache: 0.4 GB; keeps 0.3 GB.

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


def download_spark() -> SparkJars:
    """Downloads what Spark needs and is not in the cache: 0.4 GB; keeps as much.

    Raises:
      RuntimeError: a download failed; with what the program said.
    """
    paths, known = _spark_paths(), _KNOWN[version("apache-beam")]
    paths.home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.home.parent) as name:
        folder = pathlib.Path(name)
        if not paths.home.exists():
            print(f"Spark {known.spark} to {paths.home}", flush=True)
            home = folder / "home"
            archive = _sdist("pyspark", known.spark, folder)
            _extract(archive, r".*/deps/jars/[^/]+\.jar", home / "jars")
            home.rename(paths.home)
        if not paths.beam.exists():
            print(f"Beam's job server to {paths.beam}", flush=True)
            beam = folder / "beam"
            _run(
                *("mvn", "--batch-mode", "--quiet", "--file", str(_SPARK_POM)),
                *("dependency:copy-dependencies", f"-DoutputDirectory={beam}"),
                f"-Dbeam={known.beam}",
                f"-Djob.service={known.job_service}",
            )
            # Spark's own come first, in its processes and in the job server.
            has = {_artifact(path) for path in (paths.home / "jars").iterdir()}
            for path in list(beam.iterdir()):
                if _artifact(path) in has:
                    path.unlink()
            beam.rename(paths.beam)
    return paths


def _artifact(path: pathlib.Path) -> str:
    """Returns the name of a jar without its version."""
    return re.split(r"-\d", path.stem)[0]


def _sdist(project: str, release: str, folder: pathlib.Path) -> pathlib.Path:
    """Downloads the source archive of a project, which is not installed.

    It asks for another Beam, or is of no use installed.
    """
    _run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--no-binary", ":all:", "--no-build-isolation", "--dest", str(folder)),
        f"{project}=={release}",
    )
    (archive,) = folder.glob("*.tar.gz")
    return archive


def _extract(archive: pathlib.Path, pattern: str, target: pathlib.Path) -> None:
    """Moves the files of an archive whose names match to a directory, made for them."""
    target.mkdir(parents=True)
    with tarfile.open(archive) as files:
        for member in files:
            if re.fullmatch(pattern, member.name):
                content = files.extractfile(member)
                assert content, member.name
                path = target / pathlib.PurePath(member.name).name
                path.write_bytes(content.read())
    archive.unlink()


def _download_flink(known: Versions, folder: pathlib.Path) -> pathlib.Path:
    """Returns a directory of the jars that a cluster needs, from Flink's sdist."""
    libraries = folder / "libraries"
    archive = _sdist("apache-flink-libraries", known.flink, folder)
    _extract(archive, r".*/deps/lib/(flink-(dist|shaded)|log4j)[^/]*", libraries)
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
    sys.exit(missing() or (download() and download_spark() and None))
