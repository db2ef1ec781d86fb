"""Measures the speed of `input_fn` beside other ways to resample with tf.data.

    python -m tests.benchmarks.bench_input [--records N] [--record-bytes N] [--gzip]
        [--data DIR] [--rounds N] [--readers-only]

To be run from the root of the repository; `make bench` runs it for small, large and
gzip records.

What is measured: TFRecords with one long-tailed label of 10 classes are resampled to a
uniform target with a tenth as many samples as there are records, so that most labels
are dropped from and the rarest are replicated. Images are not decoded (`image=None`),
which leaves the cost of reading and of resampling, in records scanned per second.
`peers.py` has the peers. Those that handle records one by one scan a part of them: a
whole pass would take long and tell the same rate. `rejection_resample` and
`sample_from_datasets` emit other numbers of samples of what they scan, so that they are
compared by samples emitted per second.

How: all pipelines take turns in one process, on the same files, which the page cache
holds. A ratio is that of `input_fn` to a peer in the same round; its median, lowest and
highest over the rounds are printed, and how many samples came out, how many of them
with the rarest label. A first round warms up and is thrown away. The rates move with
whatever else the machine does, the ratios much less so.

A time runs from when an iterator is there until its end. Building the graph and making
the iterator are no part of it (`bench_start.py` has these). What an iterator does
before its first batch is, for all alike: making functions ready and starting threads.
That costs `input_fn` most, the largest graph, and is why a turn has several passes.

What was tried, as a ratio to what is (1.3 KB records, rounds interleaved; noise is
about 0.05). Not kept: deciding in a map after the interleave, 1.06 to 1.1, but then no
error can name its record; chunks of a quarter of the bytes 0.75, of four times 0.9;
unbatch and batch instead of rebatch 0.94; read buffers of 64 KB 0.97, of 1 MB 0.92;
private thread pools of 1, 2 and 4 threads 0.8, 1.07 and 0.84; max_intra_op_parallelism
of 1, 1.0; reading 2 files at a time 0.98; more calls than cores 1.0; tf.data's default
graph optimisations 0.97, with the first batch 0.2 s later. Kept: no autotuning, 1.1;
beginning the next epoch before one ends, 1.6 (of 200,000 records per epoch). With both,
and blocks instead of Dataset.shuffle on single samples, it was 1.55 times as fast as
the design before it.

Goals are printed as met or not; the exit code is 0 either way. "Plain read" is the
usual interleaved read and batch. "By bytes" is `input_fn` with records known by their
bytes instead of their content. "Chunked" batches within the interleave, so that
threads meet once per batch of one file; nobody trains on such batches, and it resamples
nothing, but it tells what TensorFlow's reader can do.
"""

import argparse
import contextlib
import dataclasses
import os
import sys
import tempfile
from collections.abc import Sequence

# TensorFlow reads this when it is first imported; its start-up notes help nobody here.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Samples per batch of every pipeline. Enough to make the Python loop that takes the
# batches cheap; with small ones it slows down the plain read, which emits most.
_BATCH = 256
# Records that are scanned in one turn, so that each takes several seconds: in whole
# passes, and by peers that handle records one by one.
_SCANNED, _SCANNED_PART = 2_000_000, 20_000
# Samples drawn by `sample_from_datasets`, for each of which it scans many records.
_DRAWN_PART = 1_000
# Passes in one turn: of few records, many would time the start of a pass only.
_MAX_PASSES = 30


def contenders(files: Sequence[str], gzip: bool, plan, readers_only: bool) -> list:
    """Returns what is measured: `input_fn` and then its peers.

    Args:
      files: the TFRecord files of `bench_data`.
      gzip: whether they are gzip.
      plan: plan of single labels.
      readers_only: whether to leave out the peers that resample.
    """
    from tfx_resampling import InputOptions, input_fn

    from tests.benchmarks import peers
    from tests.benchmarks.measuring import Contender

    compression = "GZIP" if gzip else ""
    # Unzipping makes a pass long by itself.
    scanned = _SCANNED // 2 if gzip else _SCANNED
    passes = min(_MAX_PASSES, max(1, scanned // plan.num_records))

    def ours(plan):
        return input_fn(
            files,
            plan,
            batch_size=_BATCH,
            image=None,
            options=InputOptions(epochs=passes),
        )

    by_bytes = dataclasses.replace(plan, identity="bytes")
    whole = passes * plan.num_records
    read = (files, compression, _BATCH, passes)
    found = [
        Contender("input_fn", ours(plan), whole),
        Contender("the same, by bytes", ours(by_bytes), whole),
        Contender("plain read", peers.plain_read(*read), whole, goal=0.85),
        Contender("plain read, chunked", peers.chunked_read(*read), whole),
    ]
    if readers_only:
        return found
    part = min(_SCANNED_PART, plan.num_records)

    def resampled(peer, records: int):
        return peers.batches(peer(files, compression, plan, records), _BATCH, plan)

    return found + [
        Contender("map + flat_map", resampled(peers.textbook, part), part, goal=25),
        Contender(
            "filter + flat_map", resampled(peers.filter_first, part), part, goal=15
        ),
        Contender(
            "rejection_resample",
            resampled(peers.rejection, part),
            part,
            goal=150,
            by_emitted=True,
        ),
        Contender(
            "sample_from_datasets",
            resampled(peers.sample_from, _DRAWN_PART),
            0,
            goal=20,
            by_emitted=True,
        ),
    ]


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Returns the command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.bench_input",
        description=__doc__.splitlines()[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--records", type=_positive, default=200_000, help="records over all files"
    )
    parser.add_argument(
        "--record-bytes", type=_positive, default=1_300, help="length of a record"
    )
    parser.add_argument("--gzip", action="store_true", help="gzip the files")
    parser.add_argument(
        "--readers-only", action="store_true", help="leave out what resamples"
    )
    parser.add_argument(
        "--data",
        default="",
        help="directory where the records are kept for the next run; empty: none",
    )
    parser.add_argument(
        "--rounds", type=_positive, default=5, help="rounds after the one to warm up"
    )
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    message = f"must be an integer >= 1, got {text!r}"
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(message) from None
    if value < 1:
        raise argparse.ArgumentTypeError(message)
    return value


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the benchmark and prints its table; returns 0."""
    args = parse_args(argv)
    # Importing TensorFlow takes seconds; --help and wrong flags should not wait for it.
    import tensorflow as tf

    from tests.benchmarks import bench_data, measuring

    tf.get_logger().setLevel("ERROR")  # rejection_resample uses deprecated functions.
    with contextlib.ExitStack() as stack:
        directory = args.data or stack.enter_context(tempfile.TemporaryDirectory())
        files = bench_data.build(directory, args.records, args.record_bytes, args.gzip)
        plan = bench_data.uniform_plan(files, size=0.1)
        print(
            f"{args.records:,} records of {args.record_bytes:,} bytes in {len(files)} "
            f"{'gzip' if args.gzip else 'plain'} files; TensorFlow {tf.__version__} on "
            f"{os.cpu_count()} cores.\n"
            f"Plan: factors {min(plan.factors):.2g} to {max(plan.factors):.2g}, "
            f"{plan.predicted_records:,.0f} samples of a pass expected, "
            f"{min(plan.target):.0%} of them with the rarest label.\n"
            f"Medians of {args.rounds} rounds, batches of {_BATCH}.\n",
            flush=True,
        )
        entries = contenders(files, args.gzip, plan, args.readers_only)
        rarest = plan.counts.index(min(plan.counts))
        runs = [[] for _ in entries]
        for number in range(args.rounds + 1):
            for entry, own in zip(entries, runs):
                run = measuring.measure(entry, rarest)
                if number > 0:  # The first round warms up.
                    own.append(run)
    print(measuring.table(entries, runs))
    return 0


if __name__ == "__main__":
    sys.exit(main())
