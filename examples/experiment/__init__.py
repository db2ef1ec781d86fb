"""What resampling gains, loses, and does not change: `make experiment`.

`data` has two data sets, `arms` the ways to train that are compared, `training` a model
of each, `measures` what is measured, `run` the table and the figure.
"""
