"""Resampling of long-tailed, multi-label image data in TFX pipelines.

Public names are loaded on first use: importing this package loads neither TensorFlow
nor TFX.
"""

import importlib

from tfx_resampling.version import __version__

# Public name -> module that defines it.
_PUBLIC = {
    "Augmentation": "tfx_resampling.images.augmentation",
    "BackupAndRestore": "tfx_resampling.monitoring.model_backup",
    "Bucket": "tfx_resampling.core.groups",
    "DataGenerator": "tfx_resampling.tables.generator",
    "DataGeneratorMap": "tfx_resampling.tables.maps",
    "EpochInput": "tfx_resampling.monitoring.epoch_report",
    "FileLoader": "tfx_resampling.tables.maps",
    "ImageAugmenter": "tfx_resampling.tables.maps",
    "ImageLoader": "tfx_resampling.tables.maps",
    "ImageOptions": "tfx_resampling.options",
    "InputMonitor": "tfx_resampling.monitoring.monitor",
    "InputOptions": "tfx_resampling.options",
    "LabelCounts": "tfx_resampling.core.counts",
    "OneHotEncoder": "tfx_resampling.tables.maps",
    "Plan": "tfx_resampling.core.plan",
    "PlannerConfig": "tfx_resampling.core.config",
    "ResamplePlan": "tfx_resampling.artifacts",
    "ResampleOptions": "tfx_resampling.beam.resample_options",
    "ResamplePlanner": "tfx_resampling.planner.component",
    "Resampler": "tfx_resampling.resampler.component",
    "StratifiedSampler": "tfx_resampling.tables.generator",
    "Trainer": "tfx_resampling.trainer.component",
    "VertexTrainer": "tfx_resampling.trainer.vertex",
    "VertexTraining": "tfx_resampling.trainer.vertex",
    "build_image_data_generator": "tfx_resampling.tables.image_folders",
    "count_labels": "tfx_resampling.scan.count",
    "input_fn": "tfx_resampling.stream.input_fn",
    "load_plan": "tfx_resampling.artifacts",
    "make_plan": "tfx_resampling.core.planning",
    "predict_dataset": "tfx_resampling.tables.image_folders",
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
