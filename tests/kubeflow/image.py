"""Builds the image without a registry, and executes tasks in it: `make image-test`.

buildah runs every step of the Dockerfile in a chroot, for both ends of the supported
versions. What stands for the official Python images, which are in a registry, is Debian
by debootstrap: version 13 with its own Python 3.13, and version 12 with this machine's
Python 3.10 in /usr/local. A file at /opt/apache/beam/boot stands for Beam's image.
Needs root, buildah and debootstrap; not collected by `make test`.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipelines.kfp.package import Package
from tests.environments import REPOSITORY
from tests.kubeflow import emulator
from tests.kubeflow.test_execute import library_plan, plan_of

TASKS = ["ImportExampleGen", "StatisticsGen", "SchemaGen", "ResamplePlanner"]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@dataclasses.dataclass(frozen=True)
class End:
    """One end of the supported versions.

    Attributes:
      tfx: version of TFX.
      python: version of Python.
      debian: Debian's name.
      packages: what the official image has beside Debian's minbase.
    """

    tfx: str
    python: str
    debian: str
    packages: str


ENDS = (
    End(
        *("1.21", "3.13", "trixie"),
        "ca-certificates,python-is-python3,python3-dev,python3-pip,python3-venv",
    ),
    End(
        *("1.16", "3.10", "bookworm"),
        # Of the standard library.
        "ca-certificates,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,"
        "libreadline8,libsqlite3-0,libssl3,libuuid1,zlib1g",
    ),
)


def run(*command) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, command
    return done.stdout.strip()


@dataclasses.dataclass(frozen=True)
class Buildah:
    """buildah with a storage of its own, and the names of images in it."""

    program: tuple[str, ...]
    base: str = "localhost/base"
    beam: str = "localhost/beam"
    image: str = "localhost/tfx-resampling"

    def __call__(self, *arguments) -> str:
        return run(*self.program, *arguments)


@pytest.fixture(scope="module", params=ENDS, ids=lambda end: end.tfx)
def end(request) -> End:
    if request.param.python == "3.10" and (
        sys.version_info[:2] != (3, 10) or sys.base_prefix == "/usr"
    ):
        pytest.skip("needs a .venv of a Python 3.10 in a folder of its own")
    return request.param


@pytest.fixture(scope="module")
def buildah(end, tmp_path_factory) -> Iterator[Buildah]:
    """buildah with the images that the Dockerfile starts from."""
    for program in ("buildah", "debootstrap"):
        assert shutil.which(program), f"{program} not found: apt-get install {program}"
    assert os.geteuid() == 0, "a chroot needs root"
    storage = tmp_path_factory.mktemp("storage")
    own = Buildah(
        ("buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run"))
    )
    root = str(tmp_path_factory.mktemp("base") / "root")
    run(
        "debootstrap",
        "--variant=minbase",
        f"--include={end.packages}",
        end.debian,
        root,
    )
    if end.python == "3.10":
        _copy_python(root)
    else:
        # The official image's Python is pip's, not Debian's.
        os.remove(f"{root}/usr/lib/python{end.python}/EXTERNALLY-MANAGED")
    _make_bases(own, root)
    shutil.rmtree(root)
    yield own
    own("rm", "--all")  # 15 GB, with all layers.
    own("rmi", "--all", "--force")


def _copy_python(root: str) -> None:
    """Copies this machine's Python to /usr/local of a root directory."""
    ignored = shutil.ignore_patterns("__pycache__", "test", "site-packages", "*.a")
    shutil.copytree(
        sys.base_prefix, f"{root}/usr/local", True, ignored, dirs_exist_ok=True
    )
    run("chroot", root, "ldconfig")  # For libpython, which is shared.
    # Its scripts name the interpreter by its path on this machine; pip and setuptools
    # come with Python itself.
    run("chroot", root, "/usr/local/bin/python3.10", "-m", "ensurepip")
    for name in ("python", "python3"):
        path = f"{root}/usr/local/bin/{name}"
        if os.path.lexists(path):
            os.remove(path)
        os.symlink("python3.10", path)


def _make_bases(buildah: Buildah, root: str) -> None:
    """Makes the images that stand for Python's and Beam's of a root directory."""
    # A package index behind a proxy of this machine's, if there is one.
    shutil.copy(CERTIFICATES, root + CERTIFICATES)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, root, "/")
    names = ("SSL_CERT_FILE", "PIP_CERT")  # Of uv, and of pip.
    settings = ["PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"]
    settings += [f"{name}={CERTIFICATES}" for name in names]
    buildah("config", *(f"--env={setting}" for setting in settings), container)
    buildah("commit", "--quiet", container, buildah.base)
    boot = os.path.join(root, "boot.sh")
    with open(boot, "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod(boot, 0o755)
    buildah("add", "--quiet", container, boot, "/opt/apache/beam/boot")
    buildah("commit", "--quiet", container, buildah.beam)
    buildah("rm", container)


def build(buildah, *arguments) -> str:
    """Builds the Dockerfile and returns a container of it."""
    buildah(
        *("build", "--layers", "--isolation", "chroot"),
        *("--file", os.path.join(REPOSITORY, "kubeflow", "Dockerfile")),
        *("--build-arg", f"BASE={buildah.base}"),
        *("--build-arg", f"BEAM={buildah.beam}"),
        *("--tag", buildah.image, *arguments, REPOSITORY),
    )
    return buildah("from", buildah.image)


@pytest.fixture(scope="module")
def container(buildah) -> str:
    return build(buildah)


def test_has_the_versions_of_the_base_images_python(buildah, container, end):
    code = (
        "import sys, tfx.version; print(*sys.version_info[:2], tfx.version.__version__)"
    )
    start = ("run", "--isolation", "chroot", container, "--")
    found = buildah(*start, "python", "-c", code).split()
    assert found[:2] == end.python.split(".")
    assert found[2].startswith(f"{end.tfx}.")


def test_runs_as_a_user_that_is_not_root(buildah, container):
    start = ("run", "--isolation", "chroot", container, "--")
    assert buildah(*start, "id", "--user") == "1000"
    for directory in ("/gcs", "/s3", "/minio", "/tmp", "/home/tfx"):
        buildah(*start, "test", "-w", directory)
    # Nothing of the build is left.
    assert buildah(*start, "ls", "/tmp") == ""


def test_has_the_entry_point_of_the_compiled_pipeline(buildah, container, compiled):
    config = buildah("inspect", "--format", "{{.OCIv1.Config.Entrypoint}}", container)
    executors = compiled.job["pipelineSpec"]["deploymentSpec"]["executors"]
    command = executors["Trainer_executor"]["container"]["command"]
    assert config == f"[{' '.join(command)}]"


def test_executes_tasks_of_the_compiled_pipeline(
    buildah, container, tmp_path, demo_data, first_parameters
):
    """From example-gen to the plan, each in a container by its command.

    The pipeline is compiled by the TFX of the image.
    """
    bucket = str(tmp_path / "bucket")
    os.makedirs(bucket)
    before = os.umask(0)  # The user writes where root made the directories.
    os.chmod(bucket, 0o777)
    for directory in (demo_data, bucket):
        while directory != "/":  # pytest makes its directories for root only.
            os.chmod(directory, os.stat(directory).st_mode | 0o755)
            directory = os.path.dirname(directory)
    try:
        mounts = [f"--volume={path}:{path}" for path in (bucket, demo_data)]
        start = (*buildah.program, "run", "--isolation", "chroot", *mounts)
        package = os.path.join(bucket, "pipeline.yaml")
        run(
            *(*start, f"--volume={REPOSITORY}:{REPOSITORY}:ro", container, "--"),
            *("env", f"PYTHONPATH={REPOSITORY}", "PYTHONDONTWRITEBYTECODE=1"),
            *("python", "-m", "pipelines.kfp.compile", "--pipeline-root", bucket),
            *("--image", buildah.image, "--output", package),
        )
        cluster = emulator.Cluster(os.environ, bucket, prefix=(*start, container, "--"))
        job = {"pipelineSpec": Package.read(package).spec}
        result = cluster.run(job, first_parameters, TASKS.__contains__)
    finally:
        os.umask(before)
    assert sorted(result.executed) == sorted(TASKS)
    plan = plan_of(result)
    expected = library_plan(demo_data, target="sqrt", seed=3)
    assert plan.factors == pytest.approx(expected.factors, rel=1e-6)
    path = os.path.join(result.uri("ResamplePlanner", "resample_plan"), "plan.json")
    assert os.stat(path).st_uid == 1000


def test_the_target_for_dataflow_starts_what_dataflow_asks_for(buildah):
    container = build(buildah, "--target", "dataflow")
    config = buildah("inspect", "--format", "{{.OCIv1.Config.Entrypoint}}", container)
    assert config == "[/opt/apache/beam/boot]"
    start = ("run", "--isolation", "chroot", container, "--")
    buildah(*start, "/opt/apache/beam/boot")
    buildah(*start, "python", "-c", "import tfx_resampling.beam")
