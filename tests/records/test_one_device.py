"""Data sets with functions of a single device."""

import gc

import numpy as np
import pytest
import tensorflow as tf
from tfx_resampling.records.one_device import apart, on_one_device


def _functions(dataset: tf.data.Dataset) -> list:
    serialized = tf.raw_ops.DatasetToGraphV2(
        input_dataset=tf.data.experimental.to_variant(dataset), external_state_policy=1
    )
    graph = tf.compat.v1.GraphDef.FromString(serialized.numpy())
    return list(graph.library.function)


def functions(dataset: tf.data.Dataset) -> list[bool]:
    """Returns of each function of a data set whether it is of one device."""
    return [
        function.attr["experimental_ints_on_device"].b
        for function in _functions(dataset)
        if function.attr["_tf_data_function"].b
    ]


def called_by_name(dataset: tf.data.Dataset) -> list[str]:
    """Returns the calls of a data set that are made ready as for several devices."""
    nodes = [node for each in _functions(dataset) for node in each.node_def]
    return [node.name for node in nodes if "PartitionedCall" in node.op]


@tf.function(experimental_attributes={"_noinline": True})
def cubed(x):
    return x**3


def made() -> tf.data.Dataset:
    """A data set with a function in a function, which calls another."""

    def inner(i):
        powers = tf.data.Dataset.range(i)
        return powers.map(lambda j: (cubed(i), tf.strings.as_string(j)))

    def step(number, row):
        return number + 1, {"a": row[0], "b": (row[1], number)}

    numbers = tf.data.Dataset.range(5).interleave(lambda i: inner(i))
    return numbers.scan(tf.constant(0), step)


def test_the_same_elements_in_the_same_order():
    before, after = made(), on_one_device(made())
    assert functions(before) == [False] * 3 and functions(after) == [True] * 3
    assert after.element_spec == before.element_spec
    assert after.cardinality() == before.cardinality()
    for _ in range(2):  # Epochs.
        pairs = list(
            zip(before.as_numpy_iterator(), after.as_numpy_iterator(), strict=True)
        )
        assert len(pairs) == 10
        assert all(one == other for one, other in pairs)


def test_an_error_has_its_message():
    def divided(x):
        check = tf.debugging.Assert(x < 2, [tf.strings.join(["no ", "way"])])
        with tf.control_dependencies([check]):
            return tf.identity(x)

    dataset = on_one_device(tf.data.Dataset.range(3).map(divided))
    assert functions(dataset) == [True]
    with pytest.raises(tf.errors.InvalidArgumentError, match="no way"):
        list(dataset)


def test_options_hold():
    options = tf.data.Options()
    options.autotune.enabled = False
    options.threading.private_threadpool_size = 3
    dataset = on_one_device(made().with_options(options))
    serialized = tf.raw_ops.DatasetToGraphV2(
        input_dataset=tf.data.experimental.to_variant(dataset)
    )
    graph = tf.compat.v1.GraphDef.FromString(serialized.numpy())
    kept = [node for node in graph.node if node.op == "OptionsDataset"]
    texts = [node.attr["serialized_options"].s for node in kept]
    assert options._to_proto().SerializeToString() in texts


def test_an_iterator_is_saved_and_goes_on(tmp_path):
    dataset = on_one_device(made())
    iterator = iter(dataset)
    first = [next(iterator)["a"].numpy() for _ in range(4)]
    saved = tf.train.Checkpoint(iterator=iterator).save(str(tmp_path / "at"))
    rest = [row["a"].numpy() for row in iterator]
    other = iter(dataset)
    tf.train.Checkpoint(iterator=other).restore(saved)
    assert [row["a"].numpy() for row in other] == rest
    assert first + rest == [row["a"] for row in made().as_numpy_iterator()]


def test_what_is_not_in_the_graph_is_left_as_it_is():
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.range(9, dtype=tf.int64), tf.range(9)), 0
    )
    variable = tf.Variable(1, dtype=tf.int64)
    for function in (
        lambda i: tf.py_function(lambda x: x + 1, [i], tf.int64),
        lambda i: tf.numpy_function(lambda x: x + 1, [i], tf.int64),
        table.lookup,
        lambda i: i + variable,
        lambda i: tf.data.Dataset.range(3).map(table.lookup).reduce(0, tf.add),
    ):
        dataset = tf.data.Dataset.range(9).map(function)
        kept = on_one_device(dataset)
        assert kept is dataset
        gc.collect()
        assert len(list(kept)) == 9


def test_python_without_state_lives_as_long_as_it_is_read():
    def plus_one(i):
        return tf.numpy_function(lambda x: x + 1, [i], tf.int64, stateful=False)

    light = on_one_device(tf.data.Dataset.range(9).map(plus_one))
    gc.collect()
    numbers = iter(light.batch(3))
    del light
    gc.collect()
    assert [batch.numpy().tolist() for batch in numbers] == [
        *([1, 2, 3], [4, 5, 6], [7, 8, 9])
    ]


def test_in_a_graph_it_is_left_as_it_is():
    @tf.function
    def total():
        dataset = on_one_device(tf.data.Dataset.range(9))
        return dataset.reduce(np.int64(0), tf.add)

    assert total() == 36


def test_functions_apart_are_traced_once_and_not_called_by_name():
    traced = []

    @apart
    def divided(x, by):
        traced.append(by)
        tf.debugging.assert_less(x, tf.constant(4, tf.int64), "no way")
        return {"quotient": x // by, "rest": x % by}

    def pair(x):
        return divided(x, 2), divided(x + 1, 2), divided(x, 3)["rest"]

    dataset = on_one_device(tf.data.Dataset.range(4).map(pair))
    assert functions(dataset) == [True] and called_by_name(dataset) == []
    assert called_by_name(made()) == ["PartitionedCall"]
    rows = dataset.as_numpy_iterator()
    assert [next(rows) for _ in range(3)] == [
        ({"quotient": i // 2, "rest": i % 2},)
        + ({"quotient": (i + 1) // 2, "rest": (i + 1) % 2}, i % 3)
        for i in range(3)
    ]
    with pytest.raises(tf.errors.InvalidArgumentError, match="no way"):
        next(rows)
    assert traced == [2, 3]


def test_functions_apart_in_a_graph_and_eagerly():
    five = tf.constant(5)

    def twice(x):
        more = x + 0
        plus = apart(lambda y: y + five + more, [tf.TensorSpec([None], tf.int32)])
        return plus(x), plus(x[:1])

    for function in (tf.function(twice), twice):
        found = function(tf.constant([1, 2]))
        assert [each.numpy().tolist() for each in found] == [[7, 9], [7, 8]]
