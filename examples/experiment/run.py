"""Runs the experiment: `python -m examples.experiment.run --help`.

A line of `runs.jsonl` is a run that is done: a run that was broken off, or one with
more seeds, goes on from there. Then `results.csv` has a row for each run, test prior
and correction, `labels.csv` for each label of these, and `experiment.png` the means.
"""

import csv
import json
import math
import os
import time
from collections.abc import Sequence
from typing import Any

import click
import numpy as np
from scipy import special

_PRIORS = ("natural", "balanced")
_CORRECTIONS = ("raw", "corrected")
# Of a label -> how it is averaged over a group's labels.
_AVERAGED = ("average_precision", "log_loss", "brier")


def experiment(
    out: str,
    names: Sequence[str],
    chosen: Sequence[str],
    seeds: int,
    steps: int,
    batch_size: int,
    num_records: int,
    rounds: int,
) -> None:
    """Runs what is not done yet, and writes tables and figure.

    Args:
      out: directory of the results.
      names: data sets.
      chosen: names of arms; empty for all.
      seeds: runs of each arm.
      steps: batches that each run trains.
      batch_size: samples of each.
      num_records: training records, at most.
      rounds: draws of a bootstrap interval.

    Raises:
      ValueError: an unknown arm or data set, or results of other options are there.
    """
    from examples.experiment import arms, data

    known = {arm.name: arm for arm in arms.ARMS}
    if unknown := sorted(set(chosen) - set(known)):
        raise ValueError(f"unknown arms {unknown}; valid: {list(known)}.")
    os.makedirs(out, exist_ok=True)
    options = {
        **{"steps": steps, "batch_size": batch_size, "num_records": num_records},
        "rounds": rounds,
    }
    path = os.path.join(out, "runs.jsonl")
    done = _done(path, options)
    todo = [
        (name, arm, seed)
        for seed in range(seeds)  # All arms with one seed before the next.
        for name in names
        for arm in chosen or known
        if (name, arm, seed) not in {_key(one) for one in done}
    ]
    sets = {name: data.load(name, num_records) for name in dict.fromkeys(names)}
    began = time.monotonic()
    for number, (name, arm, seed) in enumerate(todo, 1):
        start = time.monotonic()
        found = _run(known[arm], sets[name], seed, options)
        done.append(found)
        with open(path, "a") as file:
            file.write(json.dumps(found) + "\n")
        now = time.monotonic()
        left = (now - began) / number * (len(todo) - number) / 60
        best = {(m["prior"], m["correction"]): m for m in found["measures"]}
        raw, right = (best["natural", c] for c in _CORRECTIONS)
        click.echo(
            f"{number}/{len(todo)} {name}, {arm}, seed {seed}: average precision "
            f"{raw['all_average_precision']:.3f}, tail "
            f"{raw['tail_average_precision']:.3f}, log loss "
            f"{raw['all_log_loss']:.4f} -> {right['all_log_loss']:.4f} "
            f"({now - start:.0f} s, {left:.0f} min left)"
        )
    _write_tables(out, done)
    _draw(os.path.join(out, "experiment.png"), done)
    click.echo(f"{out}: results.csv, labels.csv, experiment.png")


def _key(run: dict[str, Any]) -> tuple[str, str, int]:
    return run["data"], run["arm"], run["seed"]


def _done(path: str, options: dict[str, int]) -> list[dict[str, Any]]:
    """Returns the runs that are done; the last line may have been broken off."""
    if not os.path.exists(path):
        return []
    with open(path) as file:
        lines = file.readlines()
    whole = [line for line in lines if line.endswith("\n")]
    if len(whole) < len(lines):
        with open(path, "w") as file:
            file.writelines(whole)
    found = [json.loads(line) for line in whole]
    for one in found:
        if one["options"] != options:
            raise ValueError(
                f"{path!r} has runs of {one['options']}, not of {options}. Choose "
                "another directory, or remove it."
            )
    return found


def _run(arm: Any, data: Any, seed: int, options: dict[str, int]) -> dict[str, Any]:
    """Returns a run: JSON types, NaN as None."""
    from examples.experiment import arms, measures, training

    start = time.monotonic()
    made = arms.prepare(arm, data, options["steps"], options["batch_size"], seed)
    logits = training.logits(data.train, data.test, made, seed)
    groups = measures.groups(data)
    tail = data.train.y[:, groups["tail"]].any(axis=1)
    activation = special.expit
    if not made.plan.multi_label:
        activation = lambda z: special.softmax(z, axis=1)  # noqa: E731
    found = []
    test, weights = data.test.y, measures.balanced_weights(data)
    for prior, correction in ((p, c) for p in _PRIORS for c in _CORRECTIONS):
        said = activation(made.natural(logits) if correction == "corrected" else logits)
        w = weights if prior == "balanced" else np.ones(len(test))
        per_label = measures.of_labels(test, said, w)
        error = measures.calibration_error(test, said, w, options["rounds"])
        found.append(
            {
                "prior": prior,
                "correction": correction,
                **{
                    f"{group}_{name}": _number(np.mean(per_label[name][labels]))
                    for group, labels in groups.items()
                    for name in _AVERAGED
                },
                # How far off, whether too high or too low.
                "calibration": _number(
                    np.exp(np.nanmean(np.abs(np.log(per_label["calibration"]))))
                ),
                **dict(zip(("ece", "ece_low", "ece_high"), map(_number, error))),
                "labels": {
                    label: {k: _number(v[i]) for k, v in per_label.items()}
                    for i, label in enumerate(data.labels)
                },
            }
        )
    return {
        **{"data": data.name, "arm": arm.name, "seed": seed, "options": options},
        "seconds": round(time.monotonic() - start, 1),
        "effective_sample_size": _number(made.effective_sample_size(len(data.train.y))),
        "repeats_of_tail": _number(made.repeats(tail)),
        "measures": found,
    }


def _number(value: Any) -> float | None:
    return None if math.isnan(value) else float(f"{value:.6g}")


def _write_tables(out: str, done: Sequence[dict[str, Any]]) -> None:
    rows, of_labels = [], []
    for run in sorted(done, key=_key):
        about = {name: run[name] for name in ("data", "arm", "seed")}
        costs = {
            name: run[name]
            for name in ("effective_sample_size", "repeats_of_tail", "seconds")
        }
        for one in run["measures"]:
            case = {name: one[name] for name in ("prior", "correction")}
            values = {k: v for k, v in one.items() if k != "labels"}
            rows.append({**about, **values, **costs})
            of_labels += [
                {**about, **case, "label": label, **found}
                for label, found in one["labels"].items()
            ]
    for name, table in (("results.csv", rows), ("labels.csv", of_labels)):
        if not table:
            continue
        with open(os.path.join(out, name), "w", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)


def _draw(path: str, done: Sequence[dict[str, Any]]) -> None:
    """Draws means over seeds, and the range of these: a row for each data set."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(dict.fromkeys(run["data"] for run in done))
    if not names:
        return
    panels = (
        ("average precision", ("all", "tail"), "average_precision", "raw"),
        ("log loss, natural test data", ("raw", "corrected"), "log_loss", None),
    )
    figure, axes = pyplot.subplots(
        *(len(names), len(panels)), figsize=(11, 3.6 * len(names)), squeeze=False
    )
    for row, name in zip(axes, names):
        arms = list(dict.fromkeys(run["arm"] for run in done if run["data"] == name))
        for axis, (title, bars, measure, correction) in zip(row, panels):
            largest, smallest = 0.0, math.inf
            for i, bar in enumerate(bars):
                group = bar if correction else "all"
                values = [
                    [
                        one[f"{group}_{measure}"]
                        for run in done
                        if (run["data"], run["arm"]) == (name, arm)
                        for one in run["measures"]
                        if one["prior"] == "natural"
                        and one["correction"] == (correction or bar)
                    ]
                    for arm in arms
                ]
                means = np.array([np.mean(each) for each in values])
                largest = max(largest, means.max())
                smallest = min(smallest, means.min())
                around = np.abs(
                    [[np.min(each), np.max(each)] for each in values]
                    - means[:, np.newaxis]
                )
                places = np.arange(len(arms)) + (i - 0.5) * 0.4
                axis.barh(places, means, 0.4, xerr=around.T, label=bar)
            axis.set_yticks(range(len(arms)), arms)
            axis.invert_yaxis()
            axis.set_title(f"{name}: {title}")
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=2)
            if largest > 10 * smallest:
                axis.set_xscale("log")
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    pyplot.close(figure)


@click.command(context_settings={"show_default": True})
@click.option("--out", default="runs/experiment", help="Directory of the results.")
@click.option(
    "--data",
    "names",
    multiple=True,
    default=["digits", "characters"],
    help="Data set; repeatable.",
)
@click.option("--arm", "chosen", multiple=True, help="Arm; repeatable.  [default: all]")
@click.option("--seeds", type=int, default=5, help="Runs of each arm.")
@click.option("--steps", type=int, default=1500, help="Batches of each run.")
@click.option("--batch-size", type=int, default=64)
@click.option("--num-records", type=int, default=12_000, help="Training records.")
@click.option("--rounds", type=int, default=200, help="Draws of an interval.")
def main(**options: Any) -> None:
    """Trains all arms by as many batches, and measures what each is good for."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        experiment(**options)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
