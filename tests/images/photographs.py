"""Photographs that installed packages bring, as JPEGs of any size."""

import functools
import pathlib

import matplotlib
import numpy as np
import sklearn.datasets
from PIL import Image

from tests.images import image_files


@functools.cache
def bundled() -> list[np.ndarray]:
    """Returns uint8 [h, w, 3]: two of scikit-learn, one of Matplotlib."""
    images = sklearn.datasets.load_sample_images().images
    sample = pathlib.Path(matplotlib.get_data_path(), "sample_data/grace_hopper.jpg")
    return [*images, np.asarray(Image.open(sample).convert("RGB"))]


def photograph(
    number: int, height: int, width: int, offset: int = 0, **options
) -> bytes:
    """Returns a JPEG, mirrored at its edges until it is large enough.

    Its finest details are those of the photograph: it is not enlarged.

    Args:
      number: which of `bundled`.
      height: pixels.
      width: pixels.
      offset: pixels left out above and to the left.
      options: of Pillow's JPEG writer.
    """
    pixels = bundled()[number]
    rows = np.pad(np.arange(pixels.shape[0]), (0, height + offset), "symmetric")
    columns = np.pad(np.arange(pixels.shape[1]), (0, width + offset), "symmetric")
    rows, columns = rows[offset : offset + height], columns[offset : offset + width]
    image = Image.fromarray(pixels[rows][:, columns])
    return image_files.encoded(image, "JPEG", **{"quality": 90, **options})
