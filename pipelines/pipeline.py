"""The pipeline: imported examples to a pushed model. Knows no runner."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
import tfx_resampling as tr
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import v1 as tfx
from tfx.dsl.components.base.base_node import BaseNode
from tfx_resampling.core import groups

# Distinct labels that statistics keep exactly; TFDV's default of 1,000 is too few for
# long-tailed data such as LVIS (1,203 labels).
_RANK_HISTOGRAM_BUCKETS = 100_000

TRAINER_MODULE = os.path.join(os.path.dirname(__file__), "training", "module.py")
# The same by import path, where `pipelines` is installed, as in the image.
TRAINER_RUN_FN = "pipelines.training.module.run_fn"

RuntimeParameter = tfx.dsl.experimental.RuntimeParameter


@dataclasses.dataclass(frozen=True)
class PipelineOptions:
    """What a run of the pipeline is made of.

    Attributes:
      name: name of the pipeline, lower case with hyphens.
      root: directory for artifacts.
      data: directory with TFRecord files of tf.train.Example; may be a runtime
        parameter.
      splits: split -> file pattern below `data`; None splits all files 4 : 1 by hash.
      file_pattern: pattern of the files where `splits` is None.
      label_dtype: "bytes" or "int64", type of the label feature.
      planner: options of the plan.
      runtime_planner: options of the plan that are set when a run starts, over those
        of `planner`.
      count_label_sets: whether the planner counts which labels occur together, in a
        pass over the examples; otherwise it knows what statistics know.
      resample: "online" (while training), "stratify" (the same, from shards that
        Resampler lays out so that little else is read) or "materialize" (Resampler
        writes an epoch of samples, and training reads these).
      push_to: directory to which a blessed model is pushed.
      input_options: how training reads records; by default such that a job that is
        killed and restarted ends with the same weights.
      image_key: feature with the encoded image.
      image_size: (height, width) of the model's input.
      batch_size: samples per batch.
      train_steps: batches to train; may be a runtime parameter.
      eval_steps: validation batches; 0 for all.
      natural_epochs: epochs of natural data before those of the plan (deferred
        balancing); 0 for none.
      second_stage: what is trained after these, "all" or only the "head".
      tuner_trials: plans and learning rates that a Tuner tries, of which the Trainer
        takes the best; 0 for no Tuner. Not with a Resampler.
      tuner_steps: batches that each of them is trained.
      min_average_precision: the mean over labels that blesses a model.
      min_tail_average_precision: the same of the rarest third of the labels.
      max_drop: how far both may be below those of the last blessed model; None: models
        are not compared. Needs a runner that has resolvers.
      module_file: the Trainer module, which TFX packs and installs where it trains.
      run_fn: import path of the module's function, instead of `module_file`; it must
        be installed where it trains.
      vertex_training: the custom job on Vertex AI that trains, instead of the
        component's own process.
      enable_cache: whether to reuse results of executions with the same inputs.
      beam_pipeline_args: for every component that runs on Beam.
    """

    name: str
    root: str
    data: str | RuntimeParameter
    planner: tr.PlannerConfig
    push_to: str
    runtime_planner: Mapping[str, RuntimeParameter] = dataclasses.field(
        default_factory=dict
    )
    splits: Mapping[str, str] | None = None
    file_pattern: str = "*"
    label_dtype: str = "bytes"
    count_label_sets: bool = True
    resample: str = "online"
    input_options: tr.InputOptions = tr.InputOptions(deterministic=True)
    image_key: str = "image/encoded"
    image_size: tuple[int, int] = (32, 32)
    batch_size: int = 64
    train_steps: int | RuntimeParameter = 1000
    eval_steps: int = 0
    natural_epochs: int = 0
    second_stage: str = "all"
    tuner_trials: int = 0
    tuner_steps: int = 300
    min_average_precision: float = 0.0
    min_tail_average_precision: float = 0.0
    max_drop: float | None = None
    module_file: str = TRAINER_MODULE
    run_fn: str | None = None
    vertex_training: tr.VertexTraining | None = None
    enable_cache: bool = True
    beam_pipeline_args: Sequence[str] = ()


def create_pipeline(
    options: PipelineOptions,
    metadata_connection_config: Any = None,
) -> tfx.dsl.Pipeline:
    """Returns the pipeline; a runner runs it.

    Args:
      options: see `PipelineOptions`.
      metadata_connection_config: ML Metadata store, for runners that want one.
    """
    return tfx.dsl.Pipeline(
        pipeline_name=options.name,
        pipeline_root=options.root,
        components=_components(options),
        enable_cache=options.enable_cache,
        metadata_connection_config=metadata_connection_config,
        beam_pipeline_args=list(options.beam_pipeline_args),
    )


def _components(options: PipelineOptions) -> list[BaseNode]:
    data: Any = options.data  # TFX says str, and takes runtime parameters.
    example_gen = tfx.components.ImportExampleGen(
        input_base=data, **_split_configs(options)
    )
    statistics_gen = tfx.components.StatisticsGen(
        examples=example_gen.outputs["examples"],
        stats_options=_stats_options(options),
    )
    schema_gen = tfx.components.SchemaGen(
        statistics=statistics_gen.outputs["statistics"], infer_feature_shape=False
    )
    example_validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"],
        schema=schema_gen.outputs["schema"],
    )
    planner = tr.ResamplePlanner(
        statistics=statistics_gen.outputs["statistics"],
        examples=example_gen.outputs["examples"] if options.count_label_sets else None,
        schema=schema_gen.outputs["schema"],
        config=options.planner,
        **options.runtime_planner,
    )
    training_examples, resamplers = example_gen.outputs["examples"], []
    if options.resample != "online":
        resampler = tr.Resampler(
            examples=example_gen.outputs["examples"],
            resample_plan=planner.outputs["resample_plan"],
            mode=options.resample,
        )
        training_examples, resamplers = resampler.outputs["examples"], [resampler]
    custom_config = {
        "batch_size": options.batch_size,
        "input_options": options.input_options.to_dict(),
        "image_key": options.image_key,
        "image_size": list(options.image_size),
        "resampled": options.resample == "materialize",
        "natural_epochs": options.natural_epochs,
        "second_stage": options.second_stage,
    }
    tuned: dict[str, Any] = {}
    tuners = []
    if options.tuner_trials:
        tuner = _tuner(options, planner, training_examples, custom_config)
        tuned["hyperparameters"] = tuner.outputs["best_hyperparameters"]
        tuners = [tuner]
    job: dict[str, Any] = {}
    if options.vertex_training:
        job["training"] = options.vertex_training
    trainer_class = tr.VertexTrainer if job else tr.Trainer
    trainer = trainer_class(
        **job,
        examples=training_examples,
        schema=schema_gen.outputs["schema"],
        resample_plan=planner.outputs["resample_plan"],
        module_file=None if options.run_fn else options.module_file,
        run_fn=options.run_fn,
        train_args=tfx.proto.TrainArgs(splits=list(options.planner.splits)),
        train_steps=options.train_steps,
        eval_args=tfx.proto.EvalArgs(splits=["eval"], num_steps=options.eval_steps),
        custom_config=custom_config,
        **tuned,
    ).with_id("Trainer")
    baseline, resolvers = None, []
    if options.max_drop is not None:
        resolver = _last_blessed_model()
        baseline, resolvers = resolver.outputs["model"], [resolver]
    evaluator = tfx.components.Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        baseline_model=baseline,
        eval_config=_eval_config(options),
        example_splits=["eval"],
    )
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(
                base_directory=options.push_to
            )
        ),
    )
    before = [example_gen, statistics_gen, schema_gen, example_validator, planner]
    return [*before, *resamplers, *tuners, trainer, *resolvers, evaluator, pusher]


def _tuner(
    options: PipelineOptions,
    planner: BaseNode,
    examples: Any,
    custom_config: dict[str, Any],
) -> BaseNode:
    """Returns the Tuner.

    Raises:
      ValueError: there is a Resampler, whose samples are of one plan.
    """
    if options.resample != "online":
        raise ValueError(
            "tuner_trials must be 0 unless samples are drawn while training, got "
            f"{options.tuner_trials} with resample={options.resample!r}: what a "
            "Resampler writes is of one plan."
        )
    run_fn = options.run_fn
    return tr.Tuner(
        examples=examples,
        resample_plan=planner.outputs["resample_plan"],
        module_file=None if run_fn else options.module_file,
        tuner_fn=f"{run_fn.rpartition('.')[0]}.tuner_fn" if run_fn else None,
        train_args=tfx.proto.TrainArgs(
            splits=list(options.planner.splits), num_steps=options.tuner_steps
        ),
        eval_args=tfx.proto.EvalArgs(splits=["eval"], num_steps=options.eval_steps),
        custom_config={**custom_config, "trials": options.tuner_trials},
    )


def _last_blessed_model() -> BaseNode:
    return tfx.dsl.Resolver(
        strategy_class=tfx.dsl.experimental.LatestBlessedModelStrategy,
        model=tfx.dsl.Channel(type=tfx.types.standard_artifacts.Model),
        model_blessing=tfx.dsl.Channel(type=tfx.types.standard_artifacts.ModelBlessing),
    ).with_id("LastBlessedModel")


def _split_configs(options: PipelineOptions) -> dict[str, Any]:
    if options.splits is None:
        split_config = tfx.proto.SplitConfig(
            splits=[
                tfx.proto.SplitConfig.Split(name="train", hash_buckets=4),
                tfx.proto.SplitConfig.Split(name="eval", hash_buckets=1),
            ]
        )
        pattern = tfx.proto.Input.Split(name="all", pattern=options.file_pattern)
        return dict(
            input_config=tfx.proto.Input(splits=[pattern]),
            output_config=tfx.proto.Output(split_config=split_config),
        )
    splits = [
        tfx.proto.Input.Split(name=name, pattern=pattern)
        for name, pattern in options.splits.items()
    ]
    return dict(input_config=tfx.proto.Input(splits=splits))


def _stats_options(options: PipelineOptions) -> tfdv.StatsOptions:
    label_key = options.planner.label_key
    columns = [groups.column_name(column) for column in options.planner.group_by]
    schema = None
    if options.label_dtype == "int64":
        # Integers are counted one by one only if a schema calls them categorical.
        schema = text_format.Parse(
            "feature { type: INT int_domain { is_categorical: true } }",
            schema_pb2.Schema(),
        )
        schema.feature[0].name = label_key
    return tfdv.StatsOptions(
        # Otherwise StatisticsGen counts image bytes as if they were strings.
        feature_allowlist=list(dict.fromkeys([label_key, *columns])),
        schema=schema,
        num_rank_histogram_buckets=_RANK_HISTOGRAM_BUCKETS,
    )


def _eval_config(options: PipelineOptions) -> tfma.EvalConfig:
    """Returns what the Evaluator computes, of the probabilities for natural data."""
    config = text_format.Parse(
        """
        model_specs {
          signature_name: "serving_default"
          prediction_key: "probabilities"
          label_key: "multi_hot"
          preprocessing_function_names: "transformed_labels"
        }
        slicing_specs {}
        metrics_specs { metrics { class_name: "ExampleCount" } }
        """,
        tfma.EvalConfig(),
    )
    least = options.min_average_precision, options.min_tail_average_precision
    for name, group, bound in (
        ("AveragePrecision", None, least[0]),
        ("LabelLogLoss", None, None),
        ("FrequencyGroup", "head", None),
        ("FrequencyGroup", "middle", None),
        ("FrequencyGroup", "tail", least[1]),
    ):
        metric = config.metrics_specs[0].metrics.add(
            class_name=name,
            module="tfx_resampling.metrics",
            config=f'"group": "{group}"' if group else "",
        )
        if bound is None:
            continue
        metric.threshold.value_threshold.lower_bound.value = bound
        if options.max_drop is not None:
            change = metric.threshold.change_threshold
            change.direction = tfma.MetricDirection.HIGHER_IS_BETTER
            change.absolute.value = -options.max_drop
    return config
