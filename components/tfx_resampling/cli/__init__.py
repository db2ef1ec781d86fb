"""The command line `tfx-resampling`: plan, show, diff, check, apply.

In: files, local or remote. Out: tables on a terminal, JSON, a plan, resampled records.
May import: everything but the TFX components; TensorFlow and Beam within commands only.
"""
