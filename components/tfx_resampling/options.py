"""Options of the input pipeline, apart from the plan. Needs no TensorFlow."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfx_resampling.validate import (
    check_choice,
    check_integer,
    check_known,
    check_names,
    check_text,
    check_type,
    shown,
)

COMPRESSIONS = ("auto", "", "GZIP", "ZLIB")
ON_CORRUPT = ("error", "skip")
RESIZES = ("fast", "exact")

_IN_RUN_FN = (
    "Make the options in run_fn, where values are known; the Trainer hands them to it "
    "in custom_config."
)

_AUTOTUNE = -1  # As tf.data.AUTOTUNE.


@dataclasses.dataclass(frozen=True)
class InputOptions:
    """How records are read, shuffled and repeated. Validated on construction.

    None of these changes *which* samples an epoch has, only their order and the speed;
    `epochs` and `start_epoch` say which epochs.

    Attributes:
      epochs: number of epochs, one after another; None repeats without end.
      start_epoch: first epoch, >= 0. Epoch e is the same whenever it is asked for.
      shuffle_records: distinct records that survived undersampling and are shuffled
        together, with their copies; 0 or 1 turns shuffling off. An epoch begins with
        smaller blocks, so that its first batch is early. Memory: up to 5.5 times this
        many records.
      chunk_size: records that are read, parsed and decided in one step. None: about
        1.3 MB of them, at most 1,024.
      cycle_length: files read at the same time. Part of the order of samples, and
        therefore not taken from the machine.
      num_parallel_calls: parallel calls of each stage; None is the number of cores, or
        for files with "://" in their names `cycle_length` where they are read.
      deterministic: same sequence on every run, at some cost in speed. The multiset of
        samples is the same either way.
      compression: of the files: "auto" (".gz" names and gzip contents are GZIP), "",
        "GZIP" or "ZLIB".
      on_corrupt: what to do about a record that cannot be read or parsed, or an image
        that does not decode: "error" (it names file and record), or "skip" (counted,
        printed). The rest of a file after a record that cannot be read is skipped too.
      service: "grpc://host:port" of a tf.data service dispatcher whose workers read,
        resample and decode instead of this process.
      service_job: consumers that name the same job share one stream, each sample going
        to one of them; None: a stream of one's own.

    Raises:
      ValueError: an option is not valid; the message names it.
    """

    epochs: int | None = None
    start_epoch: int = 0
    shuffle_records: int = 10_000
    chunk_size: int | None = None
    cycle_length: int = 8
    num_parallel_calls: int | None = None
    deterministic: bool = False
    compression: str = dataclasses.field(
        default="auto", metadata={"choices": COMPRESSIONS}
    )
    on_corrupt: str = dataclasses.field(
        default="error", metadata={"choices": ON_CORRUPT}
    )
    service: str | None = None
    service_job: str | None = None

    def __post_init__(self):
        check_known(self, _IN_RUN_FN)
        for name in ("epochs", "chunk_size", "num_parallel_calls"):
            check_integer(name, getattr(self, name), 1, optional=True)
        check_integer("cycle_length", self.cycle_length, 1)
        check_integer("start_epoch", self.start_epoch)
        check_integer("shuffle_records", self.shuffle_records)
        if not isinstance(self.deterministic, bool):
            raise ValueError(
                f"deterministic must be True or False, got {shown(self.deterministic)}."
            )
        check_choice("compression", self.compression, COMPRESSIONS)
        check_choice("on_corrupt", self.on_corrupt, ON_CORRUPT)
        if self.service is not None and "://" not in str(self.service):
            raise ValueError(
                "service must be the address of a tf.data service dispatcher, such as "
                f"'grpc://host:5050', got {self.service!r}."
            )
        if self.service_job is not None and self.service is None:
            raise ValueError(
                f"service_job must be left out without service, got "
                f"{self.service_job!r}."
            )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "InputOptions":
        """Returns the options that are fields of a JSON object; others have defaults.

        Raises:
          ValueError: a field that is not known or not valid.
        """
        check_type("input options", values, Mapping)
        names = [field.name for field in dataclasses.fields(cls)]
        check_names("input options", values, names)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Returns the options as JSON types, which `from_dict` reads back."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """How image bytes become pixels. Validated on construction.

    Attributes:
      key: name of the feature with the encoded image, JPEG, PNG, BMP or GIF;
        `images.decode_image` has the kinds of each.
      size: (height, width) to resize to, with antialiasing where it shrinks; None keeps
        the size of the files, which then must all be the same.
      channels: 1 (grey) or 3 (RGB).
      scale: multiplies pixel values: 1/255 gives 0 to 1 as float32; None keeps uint8.
      resize: "fast": a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is
        large enough, what is left to shrink is averaged by area (interpolated, if it
        was reduced and is at most 1.5 times too large), and pixels have 8 bits.
        "exact": all pixels are decoded, and resized by a triangular filter, as Pillow's
        bilinear one, without rounding; takes 1.5 to 2.2 times as long.
      orient: whether to turn a JPEG upright, as its EXIF data say.
      augment: None, or a function (image [h, w, c], seed int64 [2]) -> image, built of
        stateless ops, e.g. `tfx_resampling.images.augmentation.Augmentation`.
    """

    key: str = "image/encoded"
    size: Sequence[int] | None = None
    channels: int = 3
    scale: float | None = 1 / 255
    resize: str = dataclasses.field(default="fast", metadata={"choices": RESIZES})
    orient: bool = True
    augment: Callable[..., Any] | None = None

    def __post_init__(self):
        check_known(self, _IN_RUN_FN)
        check_text("key", self.key)
        if self.channels not in (1, 3):
            raise ValueError(f"channels must be 1 or 3, got {shown(self.channels)}.")
        if self.size is not None:
            if not isinstance(self.size, (list, tuple)) or len(self.size) != 2:
                raise ValueError(
                    f"size must be (height, width), got {shown(self.size)}."
                )
            for name, value in zip(("height", "width"), self.size):
                check_integer(name, value, 1)
        is_number = isinstance(self.scale, (int, float))
        if self.scale is not None and not (is_number and 0 < self.scale < float("inf")):
            raise ValueError(f"scale must be above 0 or None, got {shown(self.scale)}.")
        check_choice("resize", self.resize, RESIZES)
        if not isinstance(self.orient, bool):
            raise ValueError(f"orient must be True or False, got {shown(self.orient)}.")
        if self.augment is not None and not callable(self.augment):
            raise ValueError(f"augment must be callable, got {self.augment!r}.")


def cores() -> int:
    """Returns the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Not on every system.
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parallel_calls(options: InputOptions) -> int:
    """Returns how many calls of a stage run at the same time."""
    if options.num_parallel_calls:
        return options.num_parallel_calls
    # The cores of this machine say nothing about those of a tf.data service.
    return _AUTOTUNE if options.service else cores()
