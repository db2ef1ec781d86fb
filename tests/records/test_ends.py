"""Whether a file ends where its writer ended it."""

import gzip

import pytest
import tensorflow as tf
from tfx_resampling.records import ends

from tests import tfrecords

RECORDS = tfrecords.labeled("abcabc")
NUM_BYTES = sum(len(record) + ends.FRAMING_BYTES for record in RECORDS)


def test_of_a_plain_file_what_is_left_tells(tmp_path):
    name = tfrecords.write(tmp_path / "plain", RECORDS)
    assert ends.why(name, "", NUM_BYTES) == ""
    last = len(RECORDS[-1]) + ends.FRAMING_BYTES
    for left in range(1, 12):
        with open(name, "r+b") as file:
            file.truncate(NUM_BYTES - last + left)
        assert "within the 12 bytes" in ends.why(name, "", NUM_BYTES - last)
    assert ends.why(str(tmp_path / "gone"), "", NUM_BYTES) == ""


@pytest.mark.parametrize("num_members", [1, 2])
def test_of_a_gzip_file_its_own_length_tells(tmp_path, num_members):
    plain = tmp_path / "plain"
    tfrecords.write(plain, RECORDS)
    member = gzip.compress(plain.read_bytes())
    path = tmp_path / "packed.gz"
    path.write_bytes(member * num_members)
    assert ends.why(str(path), "GZIP", num_members * NUM_BYTES) == ""
    for cut in range(1, len(member)):
        path.write_bytes((member * num_members)[:-cut])
        # TensorFlow reads what comes before the cut.
        assert "goes on" in ends.why(str(path), "GZIP", (num_members - 1) * NUM_BYTES)


def test_the_number_of_records_tells(tmp_path):
    name = tfrecords.write(tmp_path / "plain", RECORDS)
    for known, expected in ((6, False), (7, True), (-1, False)):
        found = ends.Ends([name], [""], [known])
        zero, read = tf.constant(0, tf.int64), tf.constant(6, tf.int64)
        size = tf.constant(NUM_BYTES, tf.int64)
        assert bool(found.may_be_cut(zero, read, size)) is expected
        why = found.why(tf.constant(name), zero, read).numpy().decode()
        if expected:
            assert why == "the file has 6 of its 7 records."
