"""What all steps of writing resampled records know."""

import json
import os
from typing import NamedTuple

import tensorflow as tf

from tfx_resampling.beam import runs
from tfx_resampling.beam.options import ResampleOptions
from tfx_resampling.core import factor_classes
from tfx_resampling.core.plan import Plan

# What is not finished is in directories of these names beside the output. In them are:
PARTIAL = ".partial-"
CLASSES = "classes.json"
SHARDS = "shards.json"
SHARDS_DIR = "shards"
# Buckets where the number of shards follows the bytes, which are not known before.
_MOST_SHARDS = 1_024


class Job(NamedTuple):
    """What all steps know.

    Attributes:
      plan: the plan.
      options: the options.
      output_dir: where the shards come to.
      scratch: directory for everything before that.
    """

    plan: Plan
    options: ResampleOptions
    output_dir: str
    scratch: str

    @property
    def num_buckets(self) -> int:
        """Number of buckets of runs; only for "materialize"."""
        return self.options.num_shards or _MOST_SHARDS

    def path(self, name: str) -> str:
        """Returns the path of a file in the scratch directory."""
        return os.path.join(self.scratch, name)

    def write(self, name: str, value: object) -> None:
        """Writes a JSON value for the steps that follow."""
        tf.io.gfile.makedirs(self.scratch)
        contents = json.dumps(value).encode()
        runs.write_whole(self.path(name), lambda path: runs.write(path, contents))

    def read(self, name: str):
        """Reads what an earlier step wrote."""
        with tf.io.gfile.GFile(self.path(name), "rb") as file:
            return json.loads(file.read())

    def classes(self) -> factor_classes.FactorClasses:
        """Reads the classes of factors; only for "stratify"."""
        return factor_classes.FactorClasses(**self.read(CLASSES))
