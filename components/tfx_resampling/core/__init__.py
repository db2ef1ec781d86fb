"""What a plan is and means: counts, target B, factors T and what they emit, in NumPy.

In: counts of labels or groups (`LabelCounts`) and options (`PlannerConfig`).
Out: a `Plan`, and `draws`, the one rule of how many copies an epoch yields.
May import: NumPy, SciPy; of the package `validate` and `version` only.
"""
