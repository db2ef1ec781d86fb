"""Augmentation of images, the same for the same seed."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfx_resampling.validate import shown

# Floats of which nobody says how large they may be, with larger ones than this among
# them, are from 0 to 255. (Those from 0 to 1 may be a little above 1 where a filter
# overshoots.)
_UP_TO_1 = 2.0


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """A function (image, seed) -> image; the same seed gives the same pixels.

    Attributes:
      shift: largest translation, as a fraction of height and width; the border is
        repeated where the image does not reach.
      flip: whether to mirror left and right, with probability 1/2.
      brightness: largest change of brightness, as a fraction of the value range.
      contrast: contrast is multiplied by 1 - contrast to 1 + contrast.
      flip_up_down: whether to mirror top and bottom, with probability 1/2.
      crop: (least, largest) area of a window anywhere in the image, as fractions of
        its area, that is resized to all of it, as by torchvision's RandomResizedCrop;
        (0.08, 1) is usual for ImageNet. None: the whole image. `input_fn` decodes no
        more of a JPEG than the window, if `ImageOptions.size` is given.
      aspect: least and largest width of that window, as a fraction of its height. If
        none is found that fits into the image (in 100 tries), it is the whole one.
      rotate: largest rotation in degrees, either way, with the border as for `shift`.
      noise: standard deviation of normal noise of each value, as a fraction of the
        value range.

    Raises:
      ValueError: a value is out of range.
    """

    shift: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    flip_up_down: bool = False
    crop: Sequence[float] | None = None
    rotate: float = 0.0
    noise: float = 0.0
    aspect: Sequence[float] = (3 / 4, 4 / 3)

    def __post_init__(self):
        for name in ("shift", "brightness", "contrast", "noise"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(
                    f"{name} must be from 0 to below 1, got {shown(value)}."
                )
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate must be from 0 to 180, got {shown(self.rotate)}.")
        if self.crop is not None and not _is_range(self.crop, 1):
            raise ValueError(
                "crop must be (least, largest) area of a window, above 0 and up to 1, "
                f"or None, got {shown(self.crop)}."
            )
        if not _is_range(self.aspect, math.inf):
            raise ValueError(
                "aspect must be (least, largest) width / height of a window, above 0, "
                f"got {shown(self.aspect)}."
            )

    def __call__(
        self, image: tf.Tensor, seed: tf.Tensor, largest: float | None = None
    ) -> tf.Tensor:
        """Returns one image augmented; its values stay within their range.

        Args:
          image: [h, w, c], uint8 or floats.
          seed: int64 [2].
          largest: the largest value that floats may have; `input_fn` gives 255 times
            its scale. None: 255 if a value of the image is above 2, else 1.
        """
        image = tf.convert_to_tensor(image)
        seeds = tf.unstack(tf.random.split(seed, 4))
        # Apart, so that newer options do not change the seeds of the older ones.
        folded: Any = tf.random.fold_in(seed, 1)
        more = tf.unstack(tf.random.split(folded, 4))
        if self.crop is not None:
            image = self._cropped(image, seed)
        if self.rotate:
            image = self._rotated(image, more[0])
        if self.shift:
            image = self._shifted(image, seeds[0])
        if self.flip:
            image = tf.image.stateless_random_flip_left_right(image, seeds[1])
        if self.flip_up_down:
            image = tf.image.stateless_random_flip_up_down(image, more[1])
        whole: Any = None
        # The ops take 1 for the largest value of floats, and 255 of uint8, which each
        # of them keeps within its range.
        if (self.brightness or self.contrast or self.noise) and image.dtype.is_floating:
            if largest is None:
                whole = tf.where(tf.reduce_max(image) > _UP_TO_1, 255, 1)
            else:
                whole = largest
            whole = tf.cast(whole, image.dtype)
            image = image / whole
        if self.brightness:
            image = tf.image.stateless_random_brightness(
                image, self.brightness, seeds[2]
            )
        if self.contrast:
            image = tf.image.stateless_random_contrast(
                image, 1 - self.contrast, 1 + self.contrast, seeds[3]
            )
        if self.noise:
            image = self._noisy(image, more[2])
        return image if whole is None else tf.clip_by_value(image, 0.0, 1.0) * whole

    def _shifted(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        size = tf.cast(tf.shape(image)[:2], tf.float32)
        offset = tf.random.stateless_uniform([2], seed, -self.shift, self.shift)
        offset = tf.cast(tf.round(offset * size), tf.int32)
        shape = tf.shape(image)
        rows = tf.clip_by_value(tf.range(shape[0]) + offset[0], 0, shape[0] - 1)
        columns = tf.clip_by_value(tf.range(shape[1]) + offset[1], 0, shape[1] - 1)
        shifted = tf.gather(tf.gather(image, rows, axis=0), columns, axis=1)
        return tf.ensure_shape(shifted, image.shape)

    def window(self, sides: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the window of `crop`: where it begins and its sides, int32 [2] each.

        Args:
          sides: int32 [2], height and width of the image.
          seed: int64 [2], as of the image.
        """
        folded: Any = tf.random.fold_in(seed, 2)
        begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
            tf.concat([sides, [3]], axis=0),
            bounding_boxes=tf.zeros([1, 0, 4]),
            seed=folded,
            min_object_covered=0.0,
            aspect_ratio_range=list(self.aspect),
            area_range=list(self.crop or (1.0, 1.0)),
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )
        return begin[:2], extent[:2]

    def _cropped(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        sides = tf.shape(image)[:2]
        begin, extent = self.window(sides, seed)
        part = tf.slice(image, [*tf.unstack(begin), 0], [*tf.unstack(extent), -1])
        return _as_before(tf.image.resize(part, sides), image)

    def _rotated(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        angle = tf.random.stateless_uniform([], seed, -1, 1) * self.rotate
        angle *= math.pi / 180
        # Width, height.
        middle = tf.unstack((tf.cast(tf.shape(image)[1::-1], tf.float32) - 1) / 2)
        cos, sin = tf.cos(angle), tf.sin(angle)
        # Output pixel p is taken from middle + rotation * (p - middle).
        x = middle[0] - cos * middle[0] + sin * middle[1]
        y = middle[1] - sin * middle[0] - cos * middle[1]
        rotated = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(image, tf.float32)[tf.newaxis],
            transforms=tf.stack([[cos, -sin, x, sin, cos, y, 0.0, 0.0]]),
            output_shape=tf.shape(image)[:2],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )[0]
        return _as_before(rotated, image)

    def _noisy(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        noise = tf.random.stateless_normal(tf.shape(image), seed, stddev=self.noise)
        if image.dtype.is_integer:
            values = tf.image.convert_image_dtype(image, tf.float32) + noise
            return tf.image.convert_image_dtype(values, image.dtype, saturate=True)
        return image + tf.cast(noise, image.dtype)


def _as_before(values: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """Returns floats as pixels of the type and shape of an image."""
    if image.dtype.is_integer:
        values = tf.round(values)
    return tf.ensure_shape(tf.cast(values, image.dtype), image.shape)


def _is_range(value: Any, most: float) -> bool:
    try:
        least, largest = value
        return 0 < least <= largest <= most
    except (TypeError, ValueError):
        return False
