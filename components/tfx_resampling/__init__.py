"""Resampling of long-tailed, multi-label image data in TFX pipelines.

Public names are loaded on first use: importing this package loads neither TensorFlow
nor TFX.
"""

import importlib

from tfx_resampling.version import __version__

# Public name -> module that defines it.
_PUBLIC = {
    "Augmentation": "tfx_resampling.data.augmentation",
    "BackupAndRestore": "tfx_resampling.data.backup_and_restore",
    "Bucket": "tfx_resampling.core.strata",
    "DataGenerator": "tfx_resampling.data.generator.generator",
    "DataGeneratorMap": "tfx_resampling.data.generator.maps",
    "EpochInput": "tfx_resampling.data.epoch_input",
    "FileLoader": "tfx_resampling.data.generator.files",
    "ImageAugmenter": "tfx_resampling.data.generator.augmenter",
    "ImageLoader": "tfx_resampling.data.generator.files",
    "ImageOptions": "tfx_resampling.data.options",
    "InputMonitor": "tfx_resampling.data.monitor",
    "InputOptions": "tfx_resampling.data.options",
    "LabelCounts": "tfx_resampling.core.counts",
    "OneHotEncoder": "tfx_resampling.data.generator.maps",
    "Plan": "tfx_resampling.core.plan",
    "PlannerConfig": "tfx_resampling.core.config",
    "ResamplePlan": "tfx_resampling.artifacts",
    "ResampleOptions": "tfx_resampling.beam.options",
    "ResamplePlanner": "tfx_resampling.planner.component",
    "Resampler": "tfx_resampling.resampler.component",
    "StratifiedSampler": "tfx_resampling.data.generator.sampler",
    "Trainer": "tfx_resampling.trainer.component",
    "VertexTrainer": "tfx_resampling.trainer.vertex",
    "VertexTraining": "tfx_resampling.trainer.vertex_job",
    "build_image_data_generator": "tfx_resampling.data.generator.build",
    "count_labels": "tfx_resampling.data.count",
    "input_fn": "tfx_resampling.data.input_fn",
    "load_plan": "tfx_resampling.artifacts",
    "make_plan": "tfx_resampling.core.planning",
    "predict_dataset": "tfx_resampling.data.generator.build",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value  # Later look-ups do not come here.
    return value


def __dir__():
    return sorted(__all__)
