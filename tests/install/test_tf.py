"""The extra tf trains from TFRecords and from a table, without TFX."""

import pytest

pytestmark = pytest.mark.long

FROM_RECORDS = """
import keras, numpy as np, tensorflow as tf
import tfx_resampling as tr

with tf.io.TFRecordWriter("train.tfrecord") as writer:
    for i in range(300):
        example = tf.train.Example()
        label = b"rare" if i % 10 == 0 else b"common"
        example.features.feature["label"].bytes_list.value.append(label)
        example.features.feature["image/id"].int64_list.value.append(i)
        shade = np.full((8, 8, 3), 250 if label == b"rare" else 5, np.uint8)
        image = tf.io.encode_png(shade).numpy()
        example.features.feature["image/encoded"].bytes_list.value.append(image)
        writer.write(example.SerializeToString())
counts = tr.count_labels("train.tfrecord", "label")
plan = tr.make_plan(counts, tr.PlannerConfig("label"))
monitor = tr.InputMonitor(plan)
batches = tr.input_fn("train.tfrecord", plan, batch_size=20,
                      image=tr.ImageOptions(key="image/encoded", size=(8, 8)),
                      monitor=monitor)
model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
history = model.fit(batches, epochs=20, steps_per_epoch=plan.steps_per_epoch(20),
                    verbose=0, callbacks=[monitor])
print(history.history["accuracy"][-1])
"""

FROM_A_TABLE = """
import keras, pandas as pd
import tfx_resampling as tr

labels = ["common"] * 270 + ["rare"] * 30
table = pd.DataFrame({"x": [[float(name == "rare")] for name in labels],
                      "label": labels})
generator = tr.DataGenerator(
    table, batch_size=20, shuffle=True, repeat=True, seed=1,
    sampling_groupby="label", output_structure=("x", "y"),
).map(tr.OneHotEncoder(["common", "rare"], "label", "y"))
model = keras.Sequential([keras.layers.Dense(2, "softmax")])
adam = keras.optimizers.Adam(0.1)
model.compile(adam, "categorical_crossentropy", metrics=["accuracy"])
print(model.fit(generator, epochs=5, verbose=0).history["accuracy"][-1])
"""


def test_trains_from_records_and_from_a_table(tf):
    # In one process: to import TensorFlow takes longer than both.
    of_records, of_table = tf.script(FROM_RECORDS + FROM_A_TABLE).split()
    assert float(of_records) > 0.9
    assert float(of_table) > 0.9
