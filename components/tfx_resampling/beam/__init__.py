"""PTransforms of the package, usable in any Beam pipeline."""

from tfx_resampling.beam.count import CountLabelSets
from tfx_resampling.beam.read import ReadResampled
from tfx_resampling.beam.resample_options import ResampleOptions
from tfx_resampling.beam.write import WriteResampled

__all__ = ["CountLabelSets", "ReadResampled", "ResampleOptions", "WriteResampled"]
