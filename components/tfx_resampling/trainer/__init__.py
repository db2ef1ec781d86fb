"""TFX's Trainer with one more input, the plan; on this machine and on Vertex AI.

In: the inputs of TFX's Trainer and a `ResamplePlan`. Out: the outputs of TFX's Trainer.
May import: everything below the components, TFX.
"""
