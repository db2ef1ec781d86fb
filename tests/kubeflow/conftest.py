"""The image's Python environment, and the pipeline compiled and executed in it."""

import concurrent.futures
import dataclasses
import os
import shutil

import pytest

from tests import environments, processes
from tests.conftest import BATCH_SIZE
from tests.kubeflow import emulator
from tests.kubeflow.backend import gcs, pods, programs


@dataclasses.dataclass(frozen=True)
class CleanEnvironment:
    """What the image holds: dependencies, the wheel, the Trainer module.

    Attributes:
      python: its interpreter.
      variables: all environment variables of a container.
      wheel: the wheel that is installed in it.
      server: forks its `python`.
    """

    python: str
    variables: dict[str, str]
    wheel: str
    server: processes.ForkServer


@pytest.fixture(scope="session")
def clean(tmp_path_factory, wheel) -> CleanEnvironment:
    """An environment with the wheel and the pinned dependencies only."""
    root = tmp_path_factory.mktemp("clean")
    environment, home = str(root / "venv"), str(root / "home")
    # pip: TFX installs a module file's wheel with it. The official Python images have
    # it.
    python = environments.create(
        environment, f"tfx-resampling[kfp] @ file://{wheel}", "pip"
    )
    # As the Dockerfile copies it, for `run_fn`.
    module = os.path.join("pipelines", "training", "module.py")
    application = root / "app"
    os.makedirs(application / "pipelines" / "training")
    shutil.copy(os.path.join(environments.REPOSITORY, module), application / module)
    os.makedirs(home)
    variables = {
        "PATH": f"{environment}/bin:/usr/bin:/bin",
        "HOME": home,
        "PYTHONPATH": str(application),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }
    server = processes.ForkServer(python, variables)
    return CleanEnvironment(python, variables, wheel, server)


@pytest.fixture(scope="session")
def bucket(tmp_path_factory) -> str:
    """A directory instead of a bucket, the pipeline root."""
    return str(tmp_path_factory.mktemp("bucket"))


@pytest.fixture(scope="session")
def options(bucket):
    """The pipeline of the local run, for the bucket, with the module in the image."""
    import tfx_resampling as tr

    from pipelines import pipeline

    return pipeline.PipelineOptions(
        name="tfx-resampling",
        root=bucket,
        data="",
        planner=tr.PlannerConfig("labels"),
        push_to=os.path.join(bucket, "pushed"),
        splits={"train": "train/*", "eval": "eval/*"},
        batch_size=BATCH_SIZE,
        run_fn=pipeline.TRAINER_RUN_FN,
    )


@pytest.fixture(scope="session")
def compiled(options):
    """The pipeline compiled to spec 2.1."""
    from pipelines.kfp.parameters import defaults
    from pipelines.kfp.spec import compile_pipeline

    values = defaults(options.root, {})
    return compile_pipeline(options, "image:1", values)


@pytest.fixture(scope="session")
def cluster(clean, bucket) -> emulator.Cluster:
    return emulator.Cluster(clean.variables, bucket, server=clean.server)


@pytest.fixture(scope="session")
def first_parameters(demo_data, one_epoch):
    """What the local run was started with; the others keep their defaults."""
    return {"data": demo_data, "seed": 3, "train_steps": one_epoch[2]}


@pytest.fixture(scope="session")
def first_run(request, cluster, compiled, first_parameters) -> emulator.JobRun:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        future = pool.submit(cluster.run, compiled.job, first_parameters)
        # Both are chains of tasks, and there are two cores.
        request.getfixturevalue("run")
        return future.result()


@pytest.fixture(scope="session")
def kubeflow_programs(request) -> str:
    """The folder of Kubeflow's own programs, built if they come as sources."""
    return programs.folder(str(request.config.cache.mkdir("kubeflow")))


@pytest.fixture(scope="session")
def bucket_server(request, tmp_path_factory):
    """Google Cloud Storage with one bucket, at an address of its own."""
    reason = gcs.missing() or pods.missing()
    if reason:
        pytest.skip(reason)
    program = gcs.build(str(request.config.cache.mkdir("fake-gcs-server")))
    # A second suite on the same machine has another process id.
    number = os.getpid()
    address = (
        f"127.{100 + number // 62500 % 100}.{number // 250 % 250}.{number % 250 + 1}"
    )
    server = gcs.Bucket(program, tmp_path_factory.mktemp("gcs"), address)
    yield server
    server.stop()
