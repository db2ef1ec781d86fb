"""PTransforms, usable in any Beam pipeline: count, read and write resampled records.

In: TFRecord files and a `Plan`. Out: label counts, records, or directories of shards.
May import: the folders of the arithmetic and of records up to `scan`; Beam, TensorFlow.
"""

from tfx_resampling.errors import needs

with needs("beam", __name__):
    from tfx_resampling.beam.count import CountLabelSets
    from tfx_resampling.beam.read import ReadResampled
    from tfx_resampling.beam.resample_options import ResampleOptions
    from tfx_resampling.beam.write import WriteResampled

__all__ = ["CountLabelSets", "ReadResampled", "ResampleOptions", "WriteResampled"]
