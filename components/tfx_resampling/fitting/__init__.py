"""From counts and options to a plan: the factors T that turn A into B.

In: `LabelCounts` and a `PlannerConfig`. Out: a `Plan`, as close as its form allows.
May import: `core`, NumPy, SciPy.
"""
