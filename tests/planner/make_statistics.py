"""Statistics artifacts, made by TFDV itself from records written in code."""

import os

import tensorflow as tf
import tensorflow_data_validation as tfdv
from tfx.types import artifact_utils, standard_artifacts


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
    path = write_records(os.path.join(directory, "records.tfrecord"), records)
    statistics = tfdv.generate_statistics_from_tfrecord(
        path, stats_options=options or tfdv.StatsOptions()
    )
    return from_proto(directory, statistics, splits)


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
