"""Images in folders, class = folder: scikit-learn's digits with a long tail."""

import pathlib

import numpy as np
import pandas as pd

CLASSES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
)  # fmt: skip
# Images of the most frequent class; each next class has 0.6 times as many.
_LARGEST, _RATIO = 140, 0.6
_EVALUATED = 35  # Images of each class that are kept for evaluation.
_ENLARGED = 2  # 8 x 8 pixels become 16 x 16.


def write(root: str) -> None:
    """Writes `root`/train/CLASS/*.png (long-tailed) and `root`/eval/CLASS/*.png (even).

    The digits are scikit-learn's bundled ones (1,797 images of 8x8 pixels; UCI "Optical
    Recognition of Handwritten Digits"), grey. Training and evaluation have different
    ones. Same bytes on each run.
    """
    from PIL import Image
    from sklearn import datasets

    rows, labels = map(np.asarray, datasets.load_digits(return_X_y=True))
    digits = rows.reshape(-1, 8, 8)
    for label, name in enumerate(CLASSES):
        images = digits[labels == label]
        count = round(_LARGEST * _RATIO**label)
        for split, part in (
            ("eval", images[:_EVALUATED]),
            ("train", images[_EVALUATED : _EVALUATED + count]),
        ):
            folder = pathlib.Path(root, split, name)
            folder.mkdir(parents=True, exist_ok=True)
            for number, pixels in enumerate(part):
                # Digits have 17 grey levels, 0 to 16.
                grey = np.round(pixels * 255 / 16).astype(np.uint8)
                grey = grey.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1)
                Image.fromarray(grey).save(folder / f"{number:03d}.png")


def read(root: str) -> pd.DataFrame:
    """Returns a table of the images in the folders of `root`, one row per image.

    Columns: path; category, the name of the folder.
    """
    paths = sorted(pathlib.Path(root).glob("*/*.png"))
    return pd.DataFrame(
        {
            "path": [str(path) for path in paths],
            "category": [path.parent.name for path in paths],
        }
    )
