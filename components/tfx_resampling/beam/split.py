"""Large files are read by several workers, part by part."""

import logging
from collections.abc import Iterator

import apache_beam as beam
import tensorflow as tf

from tfx_resampling.records.files import RecordFiles
from tfx_resampling.records.parts import Part, split

# Of a file that one worker reads. Sorted, they make two runs.
_MOST_BYTES = 256 << 20
_LOGGER = logging.getLogger(__name__)


class SplitFiles(beam.PTransform):
    """File names -> a `Part` each, of large files several; spread over the workers.

    What they are does not change what is written: the records have the same numbers,
    errors the same words. Compressed files are not split, nor are any where what is
    corrupt is left out, which is all that follows it in its file; a warning in the
    worker's log names those that are large.
    """

    def __init__(self, on_corrupt: str = "error"):
        """Makes the transform, for what is read with `InputOptions.on_corrupt`."""
        super().__init__()
        self._on_corrupt = on_corrupt

    def expand(self, files):  # pyright: ignore[reportIncompatibleMethodOverride]
        """Splits the files."""
        return (
            files
            # Else all files would be split where their names were made. Not a
            # Reshuffle: Flink leaves out the second of two without a group between.
            | "KeyByName" >> beam.Map(lambda name: (name, None))
            | "SpreadFiles" >> beam.GroupByKey()
            | "SplitFile" >> beam.ParDo(_SplitFile(_MOST_BYTES, self._on_corrupt))
            | "SpreadParts" >> beam.Reshuffle()
        )


class _SplitFile(beam.DoFn):
    def __init__(self, most_bytes: int, on_corrupt: str):
        self._most_bytes = most_bytes
        self._on_corrupt = on_corrupt

    def process(self, named):
        name, times = named
        parts = list(self._parts(name))
        for _ in times:
            yield from parts

    def _parts(self, name: str) -> Iterator[Part]:
        size = tf.io.gfile.stat(name).length
        if size <= self._most_bytes:
            yield Part(name)
            return
        if why := self._why_whole(name):
            _LOGGER.warning("%s: one worker reads its %d MB, %s", name, size >> 20, why)
            yield Part(name)
            return
        yield from split(name, self._most_bytes)

    def _why_whole(self, name: str) -> str:
        if self._on_corrupt == "skip":
            return "as on_corrupt='skip' may leave out all that follows a record"
        if kind := RecordFiles((name,)).compressions[0]:
            return f"as {kind} cannot be split: write more files, or uncompressed ones"
        return ""
