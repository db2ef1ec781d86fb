"""Statistics artifacts, made by TFDV itself from records written in code."""

import os

import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tfx.types import artifact_utils, standard_artifacts
from tfx_bsl.coders import example_coder


def example(**features) -> bytes:
    """Returns a serialized tf.train.Example; lists of str, bytes, int or float."""
    result = tf.train.Example()
    for name, values in features.items():
        feature = result.features.feature[name]
        feature.bytes_list.SetInParent()
        for value in values:
            if isinstance(value, int):
                feature.int64_list.value.append(value)
            elif isinstance(value, float):
                feature.float_list.value.append(value)
            else:
                value = value.encode() if isinstance(value, str) else value
                feature.bytes_list.value.append(value)
    return result.SerializeToString()


def write_records(path, records) -> str:
    """Writes a TFRecord file and returns its path."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def artifact(directory, records, options=None, splits=("train",)):
    """Returns an ExampleStatistics artifact with the same statistics in each split."""
    return from_proto(directory, of_records(directory, records, options), splits)


def of_records(directory, records, options=None):
    """Returns TFDV's statistics of serialized examples, a DatasetFeatureStatisticsList.

    Without Beam, which takes 3 s, unless they are sliced; the proto is the same.
    """
    options = options or tfdv.StatsOptions()
    if options.experimental_slice_functions or options.slicing_config:
        path = write_records(os.path.join(directory, "records.tfrecord"), records)
        return tfdv.generate_statistics_from_tfrecord(path, stats_options=options)
    columns = example_coder.ExamplesToRecordBatchDecoder().DecodeBatch(list(records))
    return stats_impl.generate_statistics_in_memory(columns, options)


def from_proto(directory, statistics, splits=("train",)):
    """Returns an ExampleStatistics artifact that holds the proto in each split."""
    result = standard_artifacts.ExampleStatistics()
    result.uri = os.path.join(directory, "statistics")
    result.split_names = artifact_utils.encode_split_names(list(splits))
    for split in splits:
        folder = os.path.join(result.uri, f"Split-{split}")
        os.makedirs(folder)
        with open(os.path.join(folder, "FeatureStats.pb"), "wb") as file:
            file.write(statistics.SerializeToString())
    return result
