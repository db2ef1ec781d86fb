"""Demo data: JPEG scenes of handwritten digits, multi-label and long-tailed.

The digits are scikit-learn's bundled ones (1,797 images of 8x8 pixels; UCI "Optical
Recognition of Handwritten Digits"). A scene shows one to three of them. The first digit
of a scene is drawn from a long tail; which others occur with it has fixed chances, so
that labels are not independent. Training and evaluation scenes show different digits.
"""

import json
import os
from collections.abc import Sequence

import click
import numpy as np

LABELS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip
SIZE = 32  # Pixels, height and width of a scene.
_DIGIT = 16  # Pixels, a digit enlarged twofold.
_CORNERS = ((0, 0), (0, 16), (16, 0), (16, 16))

# Shares of the first digit of a scene: each 0.6 of the one before.
_LEADING = np.array([0.6**i for i in range(10)])
# Chance that a scene led by one digit also shows another: head digits co-occur with the
# tail (zero with nine: a rare label that mostly comes with a frequent one).
_COMPANIONS: dict[int, dict[int, float]] = {
    0: {1: 0.30, 2: 0.15},
    1: {0: 0.40},
    2: {0: 0.30, 3: 0.15},
    3: {0: 0.30, 1: 0.20},
    4: {0: 0.40, 5: 0.05},
    5: {0: 0.40, 1: 0.20},
    6: {0: 0.50, 2: 0.20},
    7: {1: 0.60},
    8: {0: 0.50, 1: 0.30},
    9: {0: 0.80, 1: 0.20},
}
# Fraction of scenes that show no digit at all: records without a label.
_EMPTY = 0.02

NUM_TRAIN, NUM_EVAL = 12_000, 4_000
_SHARDS = 4
_NOISE = 30.0  # Standard deviation in grey levels; makes rare digits hard to learn.


def build(
    directory: str, seed: int = 0, num_train: int = NUM_TRAIN, num_eval: int = NUM_EVAL
) -> None:
    """Writes `train/` and `eval/` TFRecords of tf.train.Example into `directory`.

    Features: `image/encoded` (JPEG, grey, 32x32), `image/id` (distinct), `labels` (0 to
    3 of the names in `LABELS`). Same arguments, same bytes. Does nothing where the same
    data is there already; a build that was broken off is started again.
    """
    stamp = os.path.join(directory, "demo.json")
    wanted = {"seed": seed, "train": num_train, "eval": num_eval, "version": 2}
    if os.path.exists(stamp):
        with open(stamp) as file:
            if json.load(file) == wanted:
                return
        os.remove(stamp)
    rng = np.random.default_rng(seed)
    pools = digit_pools(rng)
    for split, count, pool in zip(("train", "eval"), (num_train, num_eval), pools):
        _write_split(os.path.join(directory, split), split, count, pool, rng)
    with open(stamp, "w") as file:
        json.dump(wanted, file)


def digit_pools(
    rng: np.random.Generator,
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns the images of each digit, [images, 8, 8], for training and evaluation.

    4 of 5 images are for training.
    """
    from sklearn import datasets

    rows, digits = map(np.asarray, datasets.load_digits(return_X_y=True))
    images = rows.reshape(-1, 8, 8)
    order = rng.permutation(len(digits))
    train, evaluation = np.split(order, [len(order) * 4 // 5])
    first, second = (
        [images[chosen[digits[chosen] == d]] for d in range(10)]
        for chosen in (train, evaluation)
    )
    return first, second


def scenes(
    count: int, pools: Sequence[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, list[list[int]]]:
    """Returns scenes without writing them: uint8 [count, 32, 32, 1], and their digits.

    Args:
      count: number of scenes.
      pools: images of each digit, as `digit_pools` has them.
      rng: what chance is taken from.
    """
    shown = _scene_digits(count, rng)
    return np.stack([_draw(scene, pools, rng) for scene in shown]), shown


def _write_split(
    directory: str,
    split: str,
    count: int,
    pools: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> None:
    import tensorflow as tf

    os.makedirs(directory, exist_ok=True)
    shown = _scene_digits(count, rng)
    for shard in range(_SHARDS):
        name = f"{split}-{shard:05d}-of-{_SHARDS:05d}.tfrecord"
        with tf.io.TFRecordWriter(os.path.join(directory, name)) as writer:
            for number in range(shard, count, _SHARDS):
                pixels = _draw(shown[number], pools, rng)
                features = {
                    "image/encoded": [tf.io.encode_jpeg(pixels, quality=95).numpy()],
                    "image/id": [f"{split}-{number:06d}".encode()],
                    "labels": [LABELS[digit].encode() for digit in shown[number]],
                }
                writer.write(
                    tf.train.Example(
                        features=tf.train.Features(
                            feature={
                                key: tf.train.Feature(
                                    bytes_list=tf.train.BytesList(value=values)
                                )
                                for key, values in features.items()
                                if values  # A scene without digits has no `labels`.
                            }
                        )
                    ).SerializeToString()
                )


def _scene_digits(count: int, rng: np.random.Generator) -> list[list[int]]:
    """Returns the digits that each scene shows, 0 to 3 distinct ones."""
    leading = rng.choice(10, size=count, p=_LEADING / _LEADING.sum())
    scenes = []
    for lead in leading.tolist():
        if rng.random() < _EMPTY:
            scenes.append([])
            continue
        scene = [lead]
        for digit, chance in _COMPANIONS[lead].items():
            if rng.random() < chance:
                scene.append(digit)
        scenes.append(scene)
    return scenes


def _draw(
    scene: Sequence[int],
    pools: Sequence[np.ndarray],
    rng: np.random.Generator,
) -> np.ndarray:
    """Returns uint8 [32, 32, 1]: digits in corners of their own, faint, on noise."""
    pixels = rng.normal(rng.uniform(20, 90), _NOISE, (SIZE, SIZE))
    corners = rng.permutation(len(_CORNERS))[: len(scene)]
    for digit, corner in zip(scene, corners):
        # 16 is the darkest of the 17 grey levels of scikit-learn's digits.
        image = rng.choice(pools[digit]) / 16 * rng.uniform(60, 160)
        row, column = _CORNERS[corner]
        pixels[row : row + _DIGIT, column : column + _DIGIT] += np.kron(
            image, np.ones((2, 2))
        )
    return np.clip(pixels, 0, 255).astype(np.uint8)[..., None]


@click.command()
@click.argument("directory")
@click.option("--seed", type=int, default=0, show_default=True)
def main(directory: str, seed: int) -> None:
    """Writes the demo data to train/ and eval/ in DIRECTORY."""
    build(directory, seed)


if __name__ == "__main__":
    main()
