"""Data sets and functions that TensorFlow makes ready at a quarter of the time.

Each function of a data set (of `map`, `interleave`...) is made ready anew for every
iterator: placed on devices, optimized, cut into parts. That was three quarters of the
time until the first batch, and nothing of it is of use on one device, where functions
of tf.data run unless they say otherwise. Those with an attribute are spared it
(tensorflow/core/data/captured_function.cc). No argument of tf.data sets it: it has to
be written into the graph.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import tensorflow as tf

# Of functions that tf.data traces. Not of those that they call: TensorFlow refuses it.
_OF_TF_DATA = "_tf_data_function"
_ONE_DEVICE = "experimental_ints_on_device"
# Of tf.data.experimental.ExternalStatePolicy: state that is not in the graph.
_FAIL = 2


def on_one_device(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the same data set, with functions of a single device: the CPU.

    The elements are the same, in the same order, as quick as before; the first of an
    iterator comes earlier. A data set that no graph has all of (a function of its
    user's has a variable or a table, or calls Python and does not say that it is
    stateless) is returned as it is. Options that were set are kept, but `options()`
    does not tell them: set them after. tf.data's own optimizations are off, and must
    stay so: they fail on such functions.

    Args:
      dataset: any, made eagerly.
    """
    if not tf.executing_eagerly():
        return dataset
    try:
        serialized = tf.raw_ops.DatasetToGraphV2(
            input_dataset=tf.data.experimental.to_variant(dataset),
            external_state_policy=_FAIL,
        )
    except tf.errors.OpError:
        return dataset
    graph = tf.compat.v1.GraphDef.FromString(serialized.numpy())
    if any(_has_state(node.op) for node in _nodes(graph)):
        return dataset
    for function in graph.library.function:
        if function.attr[_OF_TF_DATA].b:
            function.attr[_ONE_DEVICE].b = True
    variant = tf.raw_ops.DatasetFromGraph(graph_def=graph.SerializeToString())
    light: Any = tf.data.experimental.from_variant(variant, dataset.element_spec)
    # Of Python functions a graph has but the names; they live as long as this does.
    light.made_of = dataset
    # They take what such a function returns for what a data set is made of.
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return light.with_options(options)


def apart(
    function: Callable[..., Any], signature: Sequence[tf.TensorSpec] | None = None
) -> Callable[..., Any]:
    """Returns a function that is traced once and called in many graphs, on the CPU.

    A call by name makes what is called ready as for several devices, optimized, for
    each iterator and file: that was half of the time until the first batch. Branches of
    a condition are made ready when they are reached first, for the device that it runs
    on. So the call is a condition with one branch. Nor does an executor visit its ops
    where the call is in a branch that is not taken.

    The call is stateless, even if there are assertions within: tf.data does not save
    the position of what has a stateful one.

    Args:
      function: of tensors and of what else tells its traces apart.
      signature: its tensors, if it is to be traced once for all their shapes.
    """
    traces = tf.function(function, signature, autograph=False)

    @functools.wraps(function)
    def call(*args):
        if tf.executing_eagerly():  # The condition would wait for itself for ever.
            return traces(*args)
        trace: Any = traces.get_concrete_function(*args)
        trace.add_to_graph(tf.compat.v1.get_default_graph())
        with tf.device("/CPU:0"):
            results: Any = tf.raw_ops.StatelessCase(
                branch_index=0,
                input=[*filter(tf.is_tensor, args), *trace.captured_inputs],
                Tout=[each.dtype for each in trace.outputs],
                branches=[trace],
            )
        for result, each in zip(results, trace.outputs):
            result.set_shape(each.shape)
        return tf.nest.pack_sequence_as(trace.structured_outputs, results)

    return call


def _has_state(op: str) -> bool:
    """Returns whether a copy of an op may have another state than the op has.

    It would not see what is put into a table later. Python functions say themselves
    that they have none.
    """
    return "Table" in op or ("PyFunc" in op and op != "PyFuncStateless")


def _nodes(graph) -> Iterator:
    """Yields the nodes of a graph and of its functions."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def
