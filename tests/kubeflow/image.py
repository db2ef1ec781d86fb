"""Builds the image without a registry, and executes tasks in it: `make image-test`.

buildah runs every step of the Dockerfile in a chroot. Debian by debootstrap, with
this machine's Python 3.10 in /usr/local, stands for python:3.10-slim, which is in a
registry; a file at /opt/apache/beam/boot stands for Beam's image. Needs root, buildah
and debootstrap; not collected by `make test`.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.environments import REPOSITORY
from tests.kubeflow import emulator
from tests.kubeflow.test_execute import library_plan, plan_of

BASE, BEAM, IMAGE = "localhost/base", "localhost/beam", "localhost/tfx-resampling"
# What python:3.10-slim has for the standard library, beside Debian's minbase.
PACKAGES = (
    "ca-certificates,libbz2-1.0,libexpat1,libffi8,liblzma5,libncursesw6,libreadline8,"
    "libsqlite3-0,libssl3,libuuid1,zlib1g"
)
TASKS = ["ImportExampleGen", "StatisticsGen", "SchemaGen", "ResamplePlanner"]
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def run(*command) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    assert done.returncode == 0, command
    return done.stdout.strip()


@dataclasses.dataclass(frozen=True)
class Buildah:
    """buildah with a storage of its own."""

    program: tuple[str, ...]

    def __call__(self, *arguments) -> str:
        return run(*self.program, *arguments)


@pytest.fixture(scope="module")
def buildah(tmp_path_factory) -> Iterator[Buildah]:
    for program in ("buildah", "debootstrap"):
        assert shutil.which(program), f"{program} not found: apt-get install {program}"
    assert os.geteuid() == 0, "a chroot needs root"
    assert sys.base_prefix != "/usr", "needs a Python 3.10 in a folder of its own"
    storage = tmp_path_factory.mktemp("storage")
    own = Buildah(
        ("buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run"))
    )
    yield own
    own("rm", "--all")  # 15 GB, with all layers.
    own("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def base(buildah, tmp_path_factory) -> None:
    """The images that the Dockerfile starts from."""
    root = str(tmp_path_factory.mktemp("base") / "root")
    run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root)
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
    # A package index behind a proxy of this machine's, if there is one.
    shutil.copy(CERTIFICATES, root + CERTIFICATES)
    container = buildah("from", "scratch")
    buildah("add", "--quiet", container, root, "/")
    names = ("SSL_CERT_FILE", "PIP_CERT")  # Of uv, and of pip.
    settings = ["PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"]
    settings += [f"{name}={CERTIFICATES}" for name in names]
    buildah("config", *(f"--env={setting}" for setting in settings), container)
    buildah("commit", "--quiet", container, BASE)
    boot = os.path.join(root, "boot.sh")
    with open(boot, "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod(boot, 0o755)
    buildah("add", "--quiet", container, boot, "/opt/apache/beam/boot")
    buildah("commit", "--quiet", container, BEAM)
    buildah("rm", container)


def build(buildah, *arguments) -> str:
    """Builds the Dockerfile and returns a container of it."""
    buildah(
        *("build", "--layers", "--isolation", "chroot"),
        *("--file", os.path.join(REPOSITORY, "kubeflow", "Dockerfile")),
        *("--build-arg", f"BASE={BASE}", "--build-arg", f"BEAM={BEAM}"),
        *("--tag", IMAGE, *arguments, REPOSITORY),
    )
    return buildah("from", IMAGE)


@pytest.fixture(scope="module")
def container(buildah, base) -> str:
    return build(buildah)


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
    buildah, container, options, demo_data, first_parameters
):
    """From example-gen to the plan, each in a container by its command."""
    from pipelines.kfp.parameters import defaults
    from pipelines.kfp.spec import compile_pipeline

    bucket = options.root
    job = compile_pipeline(options, IMAGE, defaults(bucket, {})).job
    before = os.umask(0)  # The user writes where root made the directories.
    os.chmod(bucket, 0o777)
    for directory in (demo_data, bucket):
        while directory != "/":  # pytest makes its directories for root only.
            os.chmod(directory, os.stat(directory).st_mode | 0o755)
            directory = os.path.dirname(directory)
    try:
        mounts = [f"--volume={path}:{path}" for path in (bucket, demo_data)]
        start = ("run", "--isolation", "chroot", *mounts, container, "--")
        cluster = emulator.Cluster(
            os.environ, bucket, prefix=(*buildah.program, *start)
        )
        result = cluster.run(job, first_parameters, TASKS.__contains__)
    finally:
        os.umask(before)
    assert sorted(result.executed) == sorted(TASKS)
    plan = plan_of(result)
    expected = library_plan(demo_data, target="sqrt", seed=3)
    assert plan.factors == pytest.approx(expected.factors, rel=1e-6)
    path = os.path.join(result.uri("ResamplePlanner", "resample_plan"), "plan.json")
    assert os.stat(path).st_uid == 1000


def test_the_target_for_dataflow_starts_what_dataflow_asks_for(buildah, base):
    container = build(buildah, "--target", "dataflow")
    config = buildah("inspect", "--format", "{{.OCIv1.Config.Entrypoint}}", container)
    assert config == "[/opt/apache/beam/boot]"
    start = ("run", "--isolation", "chroot", container, "--")
    buildah(*start, "/opt/apache/beam/boot")
    buildah(*start, "python", "-c", "import tfx_resampling.beam")
