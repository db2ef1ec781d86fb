"""The TFX component `ResamplePlanner`: statistics or examples in, a plan out.

In: ExampleStatistics, Examples, Schema. Out: `ResamplePlan`, HyperParameters.
May import: everything below the components, TFX, Beam.
"""
