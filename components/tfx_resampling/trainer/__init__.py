"""TFX's Trainer with one more input, the plan; on this machine and on Vertex AI.

In: what TFX's Trainer takes, and a `ResamplePlan`. Out: what TFX's Trainer gives.
May import: everything below the components, TFX.
"""
