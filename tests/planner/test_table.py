"""A plan that `ResamplePlanner` wrote drives a generator of a sample table."""

import itertools
import os

import pytest
from tfx.types import artifact_utils, standard_artifacts
from tfx_resampling import DataGenerator
from tfx_resampling.artifacts import read_plan

from tests.planner import make_statistics, planner_run
from tests.planner.make_statistics import example

# A train comes with a person half of the time.
TABLE = [
    {"y": labels, "id": i}
    for i, labels in enumerate(
        [("person",)] * 340 + [("person", "train")] * 20 + [("train",)] * 20
    )
]


@pytest.mark.long
def test_a_table_is_drawn_to_the_target_of_the_planner(tmp_path):
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "examples")
    examples.split_names = artifact_utils.encode_split_names(["train"])
    os.makedirs(tmp_path / "examples" / "Split-train")
    records = [example(y=list(row["y"]), id=[row["id"]]) for row in TABLE]
    make_statistics.write_records(tmp_path / "examples/Split-train/0", records)
    artifact, _ = planner_run.execute(
        str(tmp_path), {"examples": examples}, target={"person": 0.6, "train": 0.4}
    )
    plan = read_plan(artifact.uri)

    generator = DataGenerator(TABLE, sampling_group_weighing=plan, repeat=True)
    drawn = itertools.islice(generator.get_samples_numpy(batch=False), 8_000)
    labels = [label for row in drawn for label in row["y"]]
    # Not shuffled: each of three label sets is within one sample of its share.
    assert labels.count("train") / len(labels) == pytest.approx(0.4, abs=1e-3)
    factors = {("person",): plan.factors[0], ("train",): plan.factors[1]}
    factors["person", "train"] = plan.factors[0] * plan.factors[1]
    counts = {("person",): 340, ("train",): 20, ("person", "train"): 20}
    weights = {labels: counts[labels] * factors[labels] for labels in counts}
    assert generator.get_debug_info()["sample_weight"] == pytest.approx(
        {labels: weight / sum(weights.values()) for labels, weight in weights.items()}
    )
