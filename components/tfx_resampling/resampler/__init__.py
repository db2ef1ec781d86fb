"""The TFX component `Resampler`: examples and a plan in, resampled examples out.

In: Examples, `ResamplePlan`. Out: Examples, materialised or stratified.
May import: everything below the components, TFX, Beam.
"""
