"""Augmentation of the images of samples."""

import dataclasses
from typing import Sequence, Union

import tensorflow as tf

from tfx_resampling.data.augmentation import Augmentation
from tfx_resampling.data.generator.maps import DataGeneratorMap, Sample


@dataclasses.dataclass(frozen=True)
class ImageAugmenter(DataGeneratorMap):
    """Augments the images of each sample; the same (seed, sample), the same pixels.

    Images of one sample (an image and its mask...) get the same augmentation if they
    have the same size; noise, brightness and contrast as well. The ops are stateless:
    neither batches nor threads matter. `Augmentation` tells what the options do.

    Attributes:
      image_keys: where samples have images [h, w, c], uint8 or floats from 0 to 1.
      flip: whether to mirror left and right, with probability 1/2.
      flip_up_down: whether to mirror top and bottom, with probability 1/2.
      crop: a window of 1 - crop to 1 of height and width is enlarged to all of it.
      rotate: largest rotation in degrees, either way.
      brightness: largest change of brightness, as a fraction of the value range.
      contrast: contrast is multiplied by 1 - contrast to 1 + contrast.
      noise: standard deviation of normal noise, as a fraction of the value range.
      shift: largest translation, as a fraction of height and width.

    Raises:
      ValueError: a value is out of range.
    """

    image_keys: Union[str, Sequence[str]] = ("img",)
    flip: bool = True
    flip_up_down: bool = True
    crop: float = 0.1
    rotate: float = 90.0
    brightness: float = 0.25
    contrast: float = 0.25
    noise: float = 0.01
    shift: float = 0.0

    # Class attributes and no options: they have no annotation.
    apply_unbatched = True
    skip_key = None

    def __post_init__(self):
        _ = self.augmentation
        if isinstance(self.image_keys, str):
            object.__setattr__(self, "image_keys", (self.image_keys,))

    @property
    def augmentation(self) -> Augmentation:
        """What is done to each image."""
        options = dataclasses.asdict(self)
        del options["image_keys"]
        return Augmentation(**options)

    def __call__(self, x: Sample, seed: tf.Tensor) -> Sample:
        for key in self.image_keys:
            if key not in x:
                raise ValueError(
                    f"image_keys must be keys of samples, got {key!r}. Keys: "
                    f"{sorted(x)!r}."
                )
            x[key] = self.augmentation(x[key], seed)
        return x
