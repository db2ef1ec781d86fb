"""The files of Examples artifacts."""

import os
from typing import List

from tfx import types
from tfx.components.util import examples_utils
from tfx.proto import example_gen_pb2
from tfx.types import artifact_utils

from tfx_resampling.data import files as files_lib


def split_files(examples: List[types.Artifact], split: str) -> List[str]:
    """Returns the files of a split of examples, all of one artifact or more.

    Raises:
      ValueError: another payload format than tf.train.Example, or a split that is not
        there or has no files.
    """
    for artifact in examples:
        payload = examples_utils.get_payload_format(artifact)
        if payload != example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE:
            name = example_gen_pb2.PayloadFormat.Name(payload)
            raise ValueError(
                f"examples at {artifact.uri!r} have the payload format {name}; labels "
                "are read from FORMAT_TF_EXAMPLE."
            )
        splits = artifact_utils.decode_split_names(artifact.split_names)
        if split not in splits:
            raise ValueError(
                f"split {split!r} is not in the examples at {artifact.uri!r}, which "
                f"have {splits}."
            )
    uris = artifact_utils.get_split_uris(examples, split)
    return files_lib.match_files([os.path.join(uri, "*") for uri in uris])
