"""TFX's Trainer and Tuner with one more input, the plan; here and on Vertex AI.

In: the inputs of TFX's component and a `ResamplePlan`. Out: the outputs of TFX's.
May import: everything below the components, TFX.
"""
