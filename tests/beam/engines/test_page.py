"""The commands of the page about engines are those that the tests start."""

import pathlib
import re

from tests.beam.engines import cluster, flink, spark

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "engines.md"


def test_the_commands_are_those_of_the_tests():
    commands = re.findall(r"^\$ (.*)$", PAGE.read_text(), re.M)
    jar = pathlib.Path("beam-2.59.0-flink-1.16-job-server.jar")
    artifacts = pathlib.Path("/shared/artifacts")
    pipeline = [
        f"--beam-arg={argument}"
        for argument in flink.beam_arguments("HOST:8099", cluster.POOL, cluster.WORKERS)
    ]
    *of_flink, of_spark = (command.split() for command in commands)
    assert of_flink == [
        ["python", *cluster.pool_command("BOOT")],
        ["java", *flink.job_server_command(jar, "HOST:8081", artifacts)],
        ["python", "-m", "pipelines.run_local", *pipeline],
    ]
    options = spark.job_server_options("spark://HOST:7077", artifacts)
    assert of_spark[-2:] == options


def test_the_restart_strategy_is_that_of_the_tests():
    text = "".join(f"{name}: {value}\n" for name, value in flink.RESTARTING.items())
    assert text in PAGE.read_text()
