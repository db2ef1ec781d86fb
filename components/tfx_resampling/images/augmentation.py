"""Augmentation of images, the same for the same seed."""

import dataclasses
import math
from typing import Any

import tensorflow as tf

from tfx_resampling.validate import shown

# Floats with larger ones among them are from 0 to 255. (Those from 0 to 1 may be a
# little above 1 where a filter overshoots.)
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
      crop: a window of 1 - crop to 1 of height and width, anywhere in the image, is
        enlarged to all of it.
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
    crop: float = 0.0
    rotate: float = 0.0
    noise: float = 0.0

    def __post_init__(self):
        for name in ("shift", "brightness", "contrast", "crop", "noise"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(
                    f"{name} must be from 0 to below 1, got {shown(value)}."
                )
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate must be from 0 to 180, got {shown(self.rotate)}.")

    def __call__(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Returns one image augmented; its values stay within their range.

        Args:
          image: [h, w, c], uint8, or floats from 0 to 1 or from 0 to 255.
          seed: int64 [2].
        """
        image = tf.convert_to_tensor(image)
        seeds = tf.unstack(tf.random.split(seed, 4))
        # Apart, so that newer options do not change the seeds of the older ones.
        folded: Any = tf.random.fold_in(seed, 1)
        more = tf.unstack(tf.random.split(folded, 4))
        if self.crop or self.rotate:
            image = self._transformed(image, more[0])
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
            whole = tf.where(tf.reduce_max(image) > _UP_TO_1, 255, 1)
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

    def _transformed(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Crops and rotates at once, so that pixels are interpolated only once."""
        drawn = tf.unstack(tf.random.stateless_uniform([4], seed))
        scale = 1 - self.crop * drawn[0]
        angle = (2 * drawn[1] - 1) * self.rotate * math.pi / 180
        size = tf.cast(tf.shape(image)[1::-1], tf.float32)  # Width, height.
        middle = (size - 1) / 2
        window = middle + (2 * tf.stack(drawn[2:]) - 1) * (1 - scale) * size / 2
        cos, sin = scale * tf.cos(angle), scale * tf.sin(angle)
        # Output pixel p is taken from window + scale * rotation * (p - middle).
        x = window[0] - cos * middle[0] + sin * middle[1]
        y = window[1] - sin * middle[0] - cos * middle[1]
        transformed = tf.raw_ops.ImageProjectiveTransformV3(
            images=tf.cast(image, tf.float32)[tf.newaxis],
            transforms=tf.stack([[cos, -sin, x, sin, cos, y, 0.0, 0.0]]),
            output_shape=tf.shape(image)[:2],
            fill_value=0.0,
            interpolation="BILINEAR",
            fill_mode="NEAREST",
        )[0]
        if image.dtype.is_integer:
            transformed = tf.round(transformed)
        return tf.ensure_shape(tf.cast(transformed, image.dtype), image.shape)

    def _noisy(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        noise = tf.random.stateless_normal(tf.shape(image), seed, stddev=self.noise)
        if image.dtype.is_integer:
            values = tf.image.convert_image_dtype(image, tf.float32) + noise
            return tf.image.convert_image_dtype(values, image.dtype, saturate=True)
        return image + tf.cast(noise, image.dtype)
