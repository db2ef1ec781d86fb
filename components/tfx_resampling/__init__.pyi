"""The public names: type checkers read this list, and `__init__.py` loads from it."""

from tfx_resampling.artifacts import ResamplePlan as ResamplePlan
from tfx_resampling.artifacts import load_plan as load_plan
from tfx_resampling.artifacts import read_plan as read_plan
from tfx_resampling.beam.resample_options import ResampleOptions as ResampleOptions
from tfx_resampling.calibration.layer import PriorCorrection as PriorCorrection
from tfx_resampling.calibration.prior import Correction as Correction
from tfx_resampling.calibration.prior import estimate_prior as estimate_prior
from tfx_resampling.calibration.prior import prior_correction as prior_correction
from tfx_resampling.core.config import PlannerConfig as PlannerConfig
from tfx_resampling.core.counts import LabelCounts as LabelCounts
from tfx_resampling.core.groups import Bucket as Bucket
from tfx_resampling.core.plan import Plan as Plan
from tfx_resampling.fitting.planning import make_plan as make_plan
from tfx_resampling.images.augmentation import Augmentation as Augmentation
from tfx_resampling.kubeflow import KUBEFLOW_COMMAND as KUBEFLOW_COMMAND
from tfx_resampling.monitoring.epoch_report import EpochInput as EpochInput
from tfx_resampling.monitoring.model_backup import BackupAndRestore as BackupAndRestore
from tfx_resampling.monitoring.monitor import InputMonitor as InputMonitor
from tfx_resampling.options import ImageOptions as ImageOptions
from tfx_resampling.options import InputOptions as InputOptions
from tfx_resampling.planner.component import ResamplePlanner as ResamplePlanner
from tfx_resampling.resampler.component import Resampler as Resampler
from tfx_resampling.scan.count import count_labels as count_labels
from tfx_resampling.stream.input_fn import input_fn as input_fn
from tfx_resampling.tables.generator import DataGenerator as DataGenerator
from tfx_resampling.tables.generator import StratifiedSampler as StratifiedSampler
from tfx_resampling.tables.image_folders import (
    build_image_data_generator as build_image_data_generator,
)
from tfx_resampling.tables.image_folders import predict_dataset as predict_dataset
from tfx_resampling.tables.maps import DataGeneratorMap as DataGeneratorMap
from tfx_resampling.tables.maps import FileLoader as FileLoader
from tfx_resampling.tables.maps import ImageAugmenter as ImageAugmenter
from tfx_resampling.tables.maps import ImageLoader as ImageLoader
from tfx_resampling.tables.maps import OneHotEncoder as OneHotEncoder
from tfx_resampling.trainer.component import Trainer as Trainer
from tfx_resampling.trainer.tuner import Tuner as Tuner
from tfx_resampling.trainer.vertex import VertexTrainer as VertexTrainer
from tfx_resampling.trainer.vertex import VertexTraining as VertexTraining
from tfx_resampling.version import __version__ as __version__
