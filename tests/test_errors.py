"""Texts of errors, without what frameworks put around them."""

import pytest
import tensorflow as tf
from tfx_resampling.errors import reason

_STAGE = (
    "Error in user-defined function passed to ParallelMapDatasetV2:2471 transformation "
    "with iterator: Iterator::Root::Prefetch::ParallelMapV2: "
)


@pytest.mark.parametrize("stage", ["", _STAGE], ids=["TF 2.16", "TF 2.21"])
def test_where_in_a_graph_it_happened_is_left_out(stage):
    text = (
        f"{{{{function_node __wrapped__IteratorGetNext}}}} {stage}Name: record 35 of "
        "x, Key: size.\n\t [[{{node ParseExample}}]] [Op:IteratorGetNext]"
    )
    assert reason(Exception(text)) == "Name: record 35 of x, Key: size."


def test_an_assertion_in_a_data_set():
    def refused(x):
        return tf.debugging.Assert(x < 0, [tf.constant("it isn't below 0")])

    def check(x):
        with tf.control_dependencies([refused(x)]):
            return tf.identity(x)

    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        list(tf.data.Dataset.range(1).map(check))
    assert reason(raised.value) == "it isn't below 0"


def test_a_file_that_is_not_there():
    with pytest.raises(OSError) as raised:
        open("/nowhere/at all")
    assert reason(raised.value) == "No such file or directory: '/nowhere/at all'"
