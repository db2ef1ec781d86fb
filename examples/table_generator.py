"""Trains on images from folders, with classes drawn by weight.

    python -m examples.table_generator [--out DIR] [--weighing W] [--epochs N]

Writes scikit-learn's digits into a folder tree (class = folder, long-tailed), makes a
table of it, draws classes by weight, and trains a small model on the samples. Prints
the rows and the drawn samples of each class, and draws both as bars into
DIR/frequencies.png. The same seed gives the same samples and augmentation.
"""

import itertools
import os
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import click
import keras
import numpy as np
import pandas as pd
from tfx_resampling import build_image_data_generator, predict_dataset

from examples import digit_folders

_SIDE = 16  # Pixels.
_BATCH = 32
_SCORES = "scores"  # Name of the output of the model.
# Grey, and the blue of Okabe & Ito: colour-blind readers tell them apart.
_ROWS_COLOUR, _SAMPLES_COLOUR = "#9aa5b1", "#0072b2"


def frequencies(
    rows: pd.Series, drawn: Sequence[str], order: list[str]
) -> pd.DataFrame:
    """Returns how many rows, and how many samples, each group has, and both shares.

    Args:
      rows: the group of each row.
      drawn: the group of each sample that was drawn.
      order: the groups.
    """
    table = pd.DataFrame({"rows": rows.value_counts()}).reindex(list(order))
    table["share of rows"] = table["rows"] / table["rows"].sum()
    samples = pd.Series(list(drawn)).value_counts()
    table["samples"] = samples.reindex(list(order)).fillna(0).astype(int)
    table["share of samples"] = table["samples"] / table["samples"].sum()
    table["samples per row"] = table["samples"] / table["rows"]
    return table


def plot(table: pd.DataFrame, title: str, path: str) -> None:
    """Draws both shares as bars, side by side, into a PNG."""
    import matplotlib

    matplotlib.use("Agg")  # No display is needed.
    from matplotlib import pyplot
    from matplotlib.ticker import PercentFormatter

    figure, axes = pyplot.subplots(figsize=(8, 4.2), dpi=150)
    places, width = np.arange(len(table)), 0.4
    for offset, column, colour in (
        (-width / 2, "share of rows", _ROWS_COLOUR),
        (width / 2, "share of samples", _SAMPLES_COLOUR),
    ):
        bars = axes.bar(places + offset, table[column], width, color=colour)
        bars.set_label(column)
        axes.bar_label(
            bars,
            [
                f"{100 * share:.0f}" if share >= 0.01 else "<1"
                for share in table[column]
            ],
            fontsize=7.5,
            color="#444444",
            padding=2,
        )
    axes.set_xticks(places, table.index)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_title(title, loc="left", fontsize=11, pad=14)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="upper right")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def make_model() -> keras.Model:
    """Returns a small convolutional network of grey images."""
    model = keras.Sequential(
        [
            keras.Input((_SIDE, _SIDE, 1)),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(
                len(digit_folders.CLASSES), activation="softmax", name=_SCORES
            ),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def recalls(model: keras.Model, generator) -> pd.Series:
    """Returns the recall of each class."""
    hits = []
    for batch in predict_dataset(model, generator):
        best = np.argmax(batch[_SCORES], axis=1)
        found = np.array(digit_folders.CLASSES)[best]
        truth = [name.decode() for name in batch["category"].numpy()]
        hits += zip(truth, found == truth)
    return (
        pd.DataFrame(hits, columns=["category", "hit"]).groupby("category").hit.mean()
    )


@click.command(context_settings={"show_default": True})
@click.option("--out", default="runs/example-table", help="Where everything goes.")
@click.option(
    "--weighing", default="square root", help="Weight of a class by its number of rows."
)
@click.option("--epochs", type=int, default=10)
@click.option("--seed", type=int, default=1)
def main(out: str, weighing: str, epochs: int, seed: int) -> None:
    """Trains on images from folders, whose classes are drawn by weight."""
    keras.utils.set_random_seed(seed)
    data = os.path.join(out, "digits")
    digit_folders.write(data)
    samples = digit_folders.read(os.path.join(data, "train"))
    image = {"size": (_SIDE, _SIDE), "channels": 1}
    generator = build_image_data_generator(
        samples,
        classes=digit_folders.CLASSES,
        image=image,
        # Digits have an up and a left.
        augmentation={
            "flip": False,
            "flip_up_down": False,
            "rotate": 10,
            "noise": 0.05,
        },
        batch_size=_BATCH,
        shuffle=True,
        repeat=True,
        sampling_groupby=["category"],
        sampling_group_weighing=weighing,
        seed=seed,
    )
    model = make_model()
    model.fit(generator, epochs=epochs, verbose=2)  # pyright: ignore[reportArgumentType]

    # Without maps, a generator yields the same samples as it does in training.
    drawn = generator.get_samples_numpy(batch=False)
    drawn = itertools.islice(drawn, epochs * len(generator) * _BATCH)
    table = frequencies(
        samples["category"], [s["category"] for s in drawn], list(digit_folders.CLASSES)
    )
    evaluated = build_image_data_generator(
        digit_folders.read(os.path.join(data, "eval")),
        classes=digit_folders.CLASSES,
        image=image,
    )
    table["recall"] = recalls(model, evaluated)
    print()
    print(table.to_string(float_format="{:.3f}".format))
    path = os.path.join(out, "frequencies.png")
    title = f"Digits in folders, drawn with weighing '{weighing}'"
    plot(table, title, path)
    print(f"\nMean recall {table['recall'].mean():.3f}. Bars: {path}")


if __name__ == "__main__":
    main()
