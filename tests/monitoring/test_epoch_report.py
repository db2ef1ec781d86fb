"""What the line of an epoch says: how many samples were planned, and why fewer came."""

import numpy as np
import pytest
from absl import logging
from tensorboard.backend.event_processing import event_accumulator
from tfx_resampling.monitoring import epoch_report
from tfx_resampling.monitoring.epoch_report import EpochInput, Made

from tests import plans

# Ten records of two labels, each once.
PLAN = plans.make("ab", [1.0, 1.0], num_records=10, predicted_records=10.0)


def done(made=None, is_cut=False, data_epoch=0, **changes) -> EpochInput:
    fields = dict(
        epoch=0,
        data_epoch=data_epoch,
        batches=3,
        seconds=2.0,
        wait_seconds=0.5,
        scanned=12,
        dropped=2,
        emitted=8,
        skipped_records=0,
        skipped_images=0,
        label_counts=np.array([4, 4]),
    )
    found = EpochInput(**{**fields, **changes})
    return found if made is None else made.compared(found, PLAN, is_cut)


def line(monkeypatch, **fields) -> str:
    lines = []
    monkeypatch.setattr(logging, "info", lambda text, *v: lines.append(text % v))
    epoch_report.log(done(**fields), PLAN)
    return lines[0]


def test_the_line_has_what_was_planned_beside_what_came(monkeypatch):
    assert line(monkeypatch, made=Made(4)) == (
        "Input of epoch 1: scanned 12, dropped 2, emitted 8 samples (planned 10), "
        "4 samples/s, waited 25.0 % of the time, distance to the predicted "
        "distribution 0.000."
    )
    assert "planned" not in line(monkeypatch)


@pytest.mark.parametrize(
    "fields, why",
    [
        ({"made": Made(4), "skipped_records": 2}, "skipped 2 corrupt records"),
        ({"made": Made(4), "skipped_images": 1}, "skipped 1 undecodable image"),
        (
            {"made": Made(4, drop_remainder=True)},
            "drop_remainder leaves out up to 3 samples",
        ),
        (
            {"made": Made(4), "is_cut": True, "batches": 2},
            "steps_per_epoch is below the plan's: 2 batches instead of 3",
        ),
        (
            {"made": Made(4, drop_remainder=True), "skipped_records": 2},
            "skipped 2 corrupt records; drop_remainder leaves out up to 3 samples",
        ),
    ],
)
def test_each_cause_of_a_difference_is_named(monkeypatch, fields, why):
    assert line(monkeypatch, **fields).endswith(f"0.000; {why}.")


@pytest.mark.parametrize(
    "fields",
    [
        {"made": Made(4, drop_remainder=True), "emitted": 10},  # As planned.
        {"made": Made(4), "is_cut": True},  # As many batches as the plan has.
        {"made": Made(4)},  # Chance.
        {"made": Made(1, drop_remainder=True)},  # No remainder.
        {"made": Made(4, drop_remainder=True), "is_cut": True},  # The next epoch's.
    ],
)
def test_what_explains_nothing_is_not_named(monkeypatch, fields):
    assert line(monkeypatch, **fields).endswith("distribution 0.000.")


@pytest.mark.parametrize(
    "made, is_cut, data_epoch, samples",
    [
        (Made(4, num_shards=2), False, 0, 5),
        (Made(4, epochs=3), False, 2, 30),  # Until the data ends.
        (Made(4, epochs=3), True, 2, 10),
        (Made(4, epochs=None), False, 7, 10),
    ],
)
def test_planned_is_what_a_worker_gets_in_an_epoch_of_training(
    made, is_cut, data_epoch, samples
):
    assert done(made, is_cut, data_epoch).planned == samples


def test_tensorboard_shows_labels_as_text(tmp_path):
    label = "<b>a\x1b[2J\u202e|`"
    plan = plans.make([label, "b"], [1.0, 1.0])
    epoch_report.Charts(plan, str(tmp_path)).write(done())
    events = event_accumulator.EventAccumulator(str(tmp_path / "input")).Reload()
    tags = events.Tags()["tensors"]
    # What a tag has in it the pages show as text; nothing in it moves the text.
    assert r"realised_share/<b>a\x1b[2J\u202e|`" in tags
    assert all(tag.isprintable() for tag in tags)
    (event,) = events.Tensors("input/labels")
    (text,) = event.tensor_proto.string_val
    assert b"<" not in text and b"\x1b" not in text and b"`" not in text
    assert text.count(b"|") == 4 * 5  # Those between columns only.
