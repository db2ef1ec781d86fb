"""PTransforms of the package, usable in any Beam pipeline."""

from tfx_resampling.beam.label_sets import CountLabelSets

__all__ = ["CountLabelSets"]
