"""PTransforms of the package, usable in any Beam pipeline."""

from tfx_resampling.beam.label_sets import CountLabelSets
from tfx_resampling.beam.options import ResampleOptions
from tfx_resampling.beam.records import ReadResampled
from tfx_resampling.beam.write import WriteResampled

__all__ = ["CountLabelSets", "ReadResampled", "ResampleOptions", "WriteResampled"]
