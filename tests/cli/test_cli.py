"""The command line, run within this process."""

import errno
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tfx_resampling import filesystem
from tfx_resampling.beam.arguments import check_arguments
from tfx_resampling.cli import common, main
from tfx_resampling.core.plan import Plan
from tfx_resampling.scan import audit, count
from tfx_resampling.shards.manifest import read_manifest

from tests import plans, processes, tfrecords
from tests.planner import make_statistics

pytestmark = pytest.mark.long

LABELS = ["a"] * 600 + ["b"] * 60 + ["ab"] * 30 + [""] * 20 + ["c"] * 9


@pytest.fixture(scope="module")
def pattern(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    tfrecords.spread(folder, tfrecords.labeled(LABELS), 3)
    return f"{folder}/*"


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs a command line in a folder; returns (exit code, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        code = main.main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def plan_file(run, pattern):
    code, _, errors = run("plan", "--examples", pattern, "--label-key", "label")
    assert (code, errors) == (0, "")
    return "plan.json"


@pytest.mark.fast
def test_plan(run, pattern):
    flags = ["--examples", pattern, "--label-key", "label", "--target", "sqrt"]
    code, output, errors = run("plan", *flags, "--max-factor", "7", "--seed", "3")
    assert (code, errors) == (0, "")
    plan = Plan.from_json(open("plan.json").read())
    assert plan.groups == ("a", "b", "c") and plan.counts == (630, 90, 9)
    assert (plan.max_factor, plan.seed) == (7.0, 3)
    lines = output.splitlines()
    assert lines[0].split() == [
        *("label", "natural", "share", "target", "factor", "emitted", "/", "natural"),
        *("predicted", "predicted", "count"),
    ]
    assert lines[1].split()[:3] == ["a", "630", "86.42%"]
    assert "Emitted per epoch: 719 records" in output
    assert "Effective sample size" in output
    assert output.endswith("plan: plan.json\n")
    assert os.listdir(".") == ["plan.json"]


def test_every_option_of_the_planner_is_a_flag(run, pattern):
    values = dict(
        target='{"a": 0.5, "b": 0.3, "c": 0.2}', size="ratio:0.5", min_factor="0.01",
        max_factor="50", combine="max", unlabeled="drop", seed="5", split="train",
        key_features="image/id", unknown_labels="0.5",
        on_unreachable="warn", tolerance="0.1", schedule="linear:4",
        prefer="samples", min_epoch="0", keep_natural="",
    )  # fmt: skip
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in values.items()]
    code, _, errors = run("plan", "--examples", pattern, "--label-key=label", *flags)
    assert (code, errors) == (0, "")
    assert json.load(open("plan.json"))["provenance"]["options"] == {
        **values,
        "target": {"a": 0.5, "b": 0.3, "c": 0.2},
        **dict(min_factor=0.01, max_factor=50.0, tolerance=0.1, seed=5),
        **dict(unknown_labels=0.5, min_epoch=0.0, keep_natural=[]),
        **dict(key_features=["image/id"], identity="content", on_duplicates="error"),
        **dict(label_key="label", group_by=[]),
    }
    code, _, errors = run(
        *("plan", "--examples", pattern, "--label-key", "label"),
        *("--group-by", '[{"name": "image/id", "boundaries": [300]}]', "--overwrite"),
    )
    assert (code, errors) == (0, "")
    assert len(Plan.from_json(open("plan.json").read()).groups) == 2


def test_plan_of_statistics_is_that_of_examples(run, pattern, tmp_path):
    split = tmp_path / "statistics" / "Split-train"
    split.mkdir(parents=True)
    single = tfrecords.spread(split.parent, tfrecords.labeled("aaab" * 50), 1)
    found = make_statistics.of_records(split.parent, tfrecords.labeled("aaab" * 50))
    (split / "FeatureStats.pb").write_bytes(found.SerializeToString())
    made = []
    for source in (
        ("--statistics", split / "FeatureStats.pb"),
        ("--statistics", split),
        ("--statistics", split.parent),
        ("--examples", single[0]),
    ):
        assert run("plan", *source, "--label-key", "label", "--overwrite")[0] == 0
        made.append(Plan.from_json(open("plan.json").read()))
    assert len({plan.factors for plan in made}) == 1
    assert made[0].counts == (150, 50)


@pytest.fixture
def terminal(monkeypatch):
    """Makes standard output a terminal of a width, for rich."""

    def make(width: int) -> None:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))

    return make


def shown(output: str) -> list[list[str]]:
    """Returns the cells of what was printed."""
    return [re.split(r"\s{2,}", line.strip()) for line in plain(output).splitlines()]


def plain(output: str) -> str:
    """Returns what was printed to a terminal, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", output)


class TestNarrowTerminals:
    LABELS = ["wheelbarrow of the gardener", "aardvark", "zebra"]
    TARGETS = ("sqrt", "uniform", "natural", "effective:0.999")

    @pytest.fixture
    def flags(self, monkeypatch, pattern):
        counts = plans.counts(dict(zip(self.LABELS, (9_000, 1_390, 7))))
        monkeypatch.setattr(count, "count_labels", lambda *_, **__: counts)
        return ["plan", "--examples", pattern, "--label-key=label"]

    @pytest.mark.parametrize("size", [3, 4])
    @pytest.mark.parametrize("width", [40, 60, 80, 100])
    def test_no_number_of_targets_is_cut(self, run, terminal, flags, size, width):
        targets = [f"--target={target}" for target in self.TARGETS[:size]]
        _, wide, _ = run(*flags, *targets)
        terminal(width)
        code, narrow, _ = run(*flags, *targets)
        assert code == 0
        lines = plain(narrow).splitlines()
        assert [line for line in lines if len(line) > width] == []
        numbers = [x for line in shown(wide) for x in line[1:]]
        # Each block has the labels; of the columns, each is in one of them.
        assert sorted(x for line in shown(narrow) for x in line[1:]) == sorted(numbers)
        assert sum(line.startswith("zebra ") for line in lines) > 1
        assert "9,000" in numbers and "1,390" in numbers

    def test_labels_are_shortened_first(self, run, terminal, flags):
        terminal(80)
        assert run(*flags)[0] == 0
        _, output, _ = run("show", "plan.json")
        table = plain(output).split("\n\n")[0].splitlines()
        assert [len(table), {len(line) for line in table}] == [4, {80}]
        assert table[1].startswith("wheelbarrow of the…") and "9,000" in table[1]

    def test_labels_as_wide_as_two_letters(self, run, terminal, tmp_path):
        plan = plans.make(["漢" * 30, "b"], [1.0, 0.5])
        (tmp_path / "plan.json").write_text(plan.to_json())
        terminal(97)
        _, output, _ = run("show", "plan.json")
        assert plain(output).splitlines()[1].startswith("漢漢漢")
        assert plain(output).splitlines()[1].split()[-7:] == [
            *("1", "50.00%", "50.00%", "1", "1", "50.00%", "1")
        ]


def test_several_targets_side_by_side(run, pattern):
    flags = ["--examples", pattern, "--label-key", "label"]
    targets = ["--target", "natural", "--target", "power:0.5"]
    code, output, _ = run("plan", *flags, *targets)
    assert code == 0 and os.listdir(".") == []
    assert re.split(r"\s{2,}", output.splitlines()[0].strip()) == [
        *("label", "natural", "share", "natural: emitted / natural", "share"),
        *("power:0.5: emitted / natural", "share"),
    ]
    assert output.splitlines()[1].split()[:5] == ["a", "630", "86.42%", "1", "86.42%"]
    assert "distance to target" in output and "effective sample size" in output
    _, output, _ = run("plan", *flags, *targets, "--json")
    assert list(json.loads(output)) == ["natural", "power:0.5"]
    code, _, errors = run("plan", *flags, *targets, "--output", "x.json")
    assert code == 2 and "--output must be left out" in errors


def test_standard_streams(run, pattern, monkeypatch):
    flags = ["--examples", pattern, "--label-key", "label"]
    code, output, errors = run("plan", *flags, "--output", "-")
    plan = Plan.from_json(output)
    assert code == 0 and "Emitted per epoch" in errors and os.listdir(".") == []
    read, write = os.pipe()
    os.write(write, plan.to_json().encode())
    os.close(write)
    monkeypatch.setattr("sys.stdin", os.fdopen(read))
    code, output, _ = run("show", "-", "--json")
    assert code == 0
    assert [row["label"] for row in json.loads(output)["labels"]] == ["a", "b", "c"]


@pytest.mark.fast
def test_show(run, plan_file):
    code, output, _ = run("show", plan_file, "--html", "report.html")
    assert code == 0 and output.splitlines()[1].startswith("a ")
    assert "<!DOCTYPE html>" in open("report.html").read()
    assert run("show", ".")[1] == output


@pytest.mark.fast
def test_diff(run, plan_file, pattern):
    flags = ["--examples", pattern, "--label-key", "label", "--output", "other.json"]
    assert run("plan", *flags, "--max-factor", "7", "--seed", "1")[0] == 0
    code, output, _ = run("diff", plan_file, "other.json")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()[1:4]] == ["a", "b", "c"]
    assert "seed: 0 -> 1" in output
    assert not re.search(r"\d\.\d{7}", output)
    _, output, _ = run("diff", plan_file, "other.json", "--json")
    assert json.loads(output)["fields"]["seed"] == [0, 1]
    assert run("diff", plan_file, plan_file)[1] == "no difference\n"


@pytest.mark.fast
@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "directory"])
def test_outputs_that_are_there_are_left_alone(run, tmp_path, kind):
    (tmp_path / "plan.json").write_text(plans.make("ab", [1.0, 0.5]).to_json())
    mine = tmp_path / "mine"
    if kind != "dangling link":
        mine.write_text("mine")
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "directory":
        out.mkdir()
    else:
        out.symlink_to(mine)
    before = sorted(os.listdir("."))
    for option in ("--html", "--png"):
        code, _, errors = run("show", "plan.json", option, "out")
        assert code == 2 and "'out' exists already. Give --overwrite" in errors
    code, _, errors = run(
        *("plan", "--examples", "/no/*", "--label-key=l", "--output=out")
    )
    # Before anything is counted.
    assert code == 2 and "'out' exists already" in errors
    assert sorted(os.listdir(".")) == before
    if kind == "directory":
        return
    assert run("show", "plan.json", "--html", "out", "--overwrite")[0] == 0
    # What the link led to is not touched: the link is replaced.
    assert not out.is_symlink() and "<!DOCTYPE html>" in out.read_text()
    assert mine.exists() == (kind != "dangling link")
    assert kind == "dangling link" or mine.read_text() == "mine"


@pytest.mark.fast
def test_what_comes_into_being_meanwhile_is_left_alone(tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(filesystem, "check_absent", lambda path: out.write_text("x"))
    with pytest.raises(FileExistsError):
        filesystem.write_bytes(str(out), b"y")
    assert out.read_text() == "x" and os.listdir(tmp_path) == ["out"]


@pytest.mark.fast
def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.EPERM, "not permitted")

    monkeypatch.setattr(os, "link", refuse)
    filesystem.write_bytes(str(tmp_path / "out"), b"y")
    assert (tmp_path / "out").read_bytes() == b"y" and os.listdir(tmp_path) == ["out"]


@pytest.mark.fast
@pytest.mark.parametrize(
    "argument, message",
    [
        (
            "--direct_num_worker=2",
            "unknown --beam-arg '--direct_num_worker=2'. Is it --direct_num_workers",
        ),
        ("--nonsense", "unknown --beam-arg '--nonsense'. Beam has no such option"),
        ("direct_num_workers=2", "unknown --beam-arg 'direct_num_workers=2'"),
        ("--direct_num_workers=two", "invalid int value: 'two'"),
    ],
)
def test_arguments_that_beam_would_ignore(run, plan_file, pattern, argument, message):
    flags = ["--examples", pattern, "--output", "out", f"--beam-arg={argument}"]
    code, _, errors = run("apply", plan_file, *flags)
    assert code == 2 and message in errors and errors.count("\n") == 1
    assert os.listdir(".") == ["plan.json"]


@pytest.mark.fast
def test_arguments_of_a_job_server_are_its_own():
    check_arguments(["--runner=FlinkRunner", "--parallelism=20"])
    check_arguments(["--runner=DirectRunner", "--experiments=use_runner_v2"])


class TestCheck:
    def test_a_plan_of_these_records(self, run, plan_file, pattern):
        code, output, _ = run("check", plan_file, "--examples", pattern)
        assert code == 0, output
        assert "0 of 4 counts are outside" in output
        assert output.splitlines()[4].startswith("all records")
        flags = ["--epochs", "30", "--start-epoch", "2", "--json"]
        code, output, _ = run("check", plan_file, "--examples", pattern, *flags)
        rows = {row["label"]: row for row in json.loads(output)["rows"]}
        plan = Plan.from_json(open(plan_file).read())
        assert code == 0
        assert rows["b"]["natural"] == 90
        assert rows["b"]["predicted"] == pytest.approx(30 * plan.predicted[1])
        emitted = np.bincount(
            tfrecords.emitted(
                sorted(glob.glob(pattern)), plan, start_epoch=2, epochs=30
            ),
            minlength=len(LABELS),
        )
        for label in "abc":
            mine = np.array([label in labels for labels in LABELS])
            assert rows[label]["realised"] == emitted[mine].sum()
        assert rows["all records"]["realised"] == emitted.sum()

    @pytest.mark.fast
    def test_other_records_are_outside(self, run, plan_file, tmp_path):
        other = tfrecords.write(tmp_path / "other", tfrecords.labeled(["b"] * 700))
        code, output, _ = run("check", plan_file, "--examples", other)
        assert code == 1
        assert "OUTSIDE" in output and "4 of 4 counts are outside" in output

    @pytest.mark.nightly
    def test_groups(self, run, pattern):
        flags = ["--examples", pattern, "--label-key", "label", "--seed", "4"]
        group_by = ["--group-by", '[{"name": "image/id", "boundaries": [100, 300]}]']
        assert run("plan", *flags, *group_by, "--target", "sqrt")[0] == 0
        code, output, _ = run("check", "plan.json", "--examples", pattern, "--json")
        assert code == 0
        assert [row["natural"] for row in json.loads(output)["rows"]][-1] == 719

    @pytest.mark.nightly
    def test_corrupt(self, run, plan_file, pattern, tmp_path):
        bad = tfrecords.write(tmp_path / "bad", [b"no example"])
        flags = ["--examples", pattern, "--examples", bad]
        code, _, errors = run("check", plan_file, *flags)
        assert code == 2 and re.match(r"error: record 0 of .*bad cannot be", errors)
        code, output, _ = run("check", plan_file, *flags, "--on-corrupt", "skip")
        assert code == 0 and "1 corrupt records were left out" in output

    def test_the_bound_holds_and_is_not_wide(self):
        rng = np.random.default_rng(1)
        chances = rng.uniform(0, 1, 400)
        variance = (chances * (1 - chances)).sum()
        sums = (rng.random((20_000, 400)) < chances).sum(axis=1) - chances.sum()
        limit = audit.bound(np.array([variance] * 10))[0]
        assert (np.abs(sums) > limit).mean() < 1e-3
        assert limit < 6 * np.sqrt(variance)
        assert audit.bound(np.zeros(3)).tolist() == [1e-3] * 3


def test_apply(run, plan_file, pattern):
    flags = ["--examples", pattern, "--output", "out", "--num-shards", "2"]
    code, output, _ = run("apply", plan_file, *flags, "--compression", "gzip")
    assert code == 0
    assert output.startswith("719 records read, 0 corrupt left out, ")
    assert len(glob.glob("out/*.gz")) == 2
    for command in (["check", plan_file], ["apply", plan_file, "--output", "more"]):
        code, _, errors = run(*command, "--examples", "out/*")
        assert code == 2 and "resampled already" in errors
    code, _, errors = run("apply", plan_file, *flags)
    assert code == 2 and "output_dir must not be there yet" in errors
    flags = ["--examples", pattern, "--output", "laid/", "--mode", "stratify"]
    code, output, _ = run(
        "apply", plan_file, *flags, "--json", "--beam-arg=--direct_num_workers=1"
    )
    assert json.loads(output)["read"] == 719
    manifest = read_manifest("laid")
    assert manifest and manifest.mode == "stratify"


@pytest.mark.fast
def test_a_mistyped_label_key_lists_the_features(run, pattern):
    code, _, errors = run("plan", "--examples", pattern, "--label-key", "lable")
    assert code == 2 and os.listdir(".") == []
    assert "'lable' has no labels in 719 records" in errors
    assert "['image/id', 'label']" in errors


@pytest.mark.fast
def test_standard_output_takes_one_thing(run, plan_file):
    code, _, errors = run("show", plan_file, "--html", "-", "--json")
    assert code == 2 and "only one thing" in errors


@pytest.mark.fast
def test_no_plan(run, tmp_path):
    (tmp_path / "plan.json").write_text("{}")
    code, _, errors = run("show", "plan.json")
    assert code == 2 and "'plan.json': plan must be a JSON object" in errors


@pytest.mark.fast
def test_debug_shows_the_traceback(run):
    with pytest.raises(FileNotFoundError):
        run("show", "absent.json", "--debug")


@pytest.mark.fast
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(run, shell):
    code, output, _ = run("completion", shell)
    assert code == 0 and "_TFX_RESAMPLING_COMPLETE" in output


def test_commands_are_completed():
    ran = subprocess.run(
        [sys.executable, "-m", "tfx_resampling.cli.main"],
        env={
            **os.environ,
            "_TFX_RESAMPLING_COMPLETE": "bash_complete",
            "COMP_WORDS": "tfx-resampling ch",
            "COMP_CWORD": "1",
        },
        capture_output=True,
        text=True,
    )
    assert ran.stdout.split() == ["plain,check"]


@pytest.mark.fast
def test_tensorflow_is_imported_without_its_notes(monkeypatch, capfd):
    def imported(name):
        assert name == "tensorflow"
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is ...\n")
        os.write(2, b"I0000 00:00:1795303000.848883  4 cudart_stub.cc:31] No CUDA.\n")
        print("something else", file=sys.stderr)

    monkeypatch.setattr(common.importlib, "import_module", imported)
    common.import_tensorflow()
    os.write(2, b"and later\n")
    assert capfd.readouterr().err == "something else\nand later\n"


@pytest.mark.nightly
def test_a_process_of_its_own_prints_no_notes(pattern, tmp_path):
    plan = str(tmp_path / "plan.json")
    for arguments in (
        ("plan", "--examples", pattern, "--label-key", "label", "--output", plan),
        ("show", f"file://{plan}"),  # TensorFlow opens it, as it does gs://.
    ):
        done = subprocess.run(
            [sys.executable, "-m", "tfx_resampling.cli.main", *arguments],
            cwd=tmp_path,
            # Not with what `make test` has set.
            env={k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.fast
def test_labels_that_look_like_markup(run, tmp_path):
    plan = plans.make(["[red]x[/red]", "[/]", "é🙂"], [1.0, 0.5, 2.0])
    (tmp_path / "plan.json").write_text(plan.to_json())
    code, output, _ = run("show", "plan.json")
    assert code == 0
    assert [line.split()[0] for line in output.splitlines()[1:4]] == list(plan.groups)


HOSTILE = "a\x1b[2J\u202eb\x9bc"


@pytest.mark.fast
@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_terminal_obeys_no_label(run, tmp_path, flags):
    plan = plans.make([HOSTILE, "b"], [1.0, 0.5], warnings=(f"About {HOSTILE}.",))
    other = plans.make([HOSTILE, "b"], [1.0, 0.7], label_key=HOSTILE)
    (tmp_path / "plan.json").write_text(plan.to_json())
    (tmp_path / "other.json").write_text(other.to_json())
    for arguments in (["show", "plan.json"], ["diff", "plan.json", "other.json"]):
        code, output, _ = run(*arguments, *flags)
        assert code == 0 and all(c.isprintable() or c == "\n" for c in output)
        if flags and arguments[0] == "show":
            assert json.loads(output)["labels"][0]["label"] == HOSTILE


def test_interrupted_nothing_is_left(tmp_path, pattern):
    records = tfrecords.labeled(["a", "b"] * 20_000)
    source = tmp_path / "records"
    source.mkdir()
    for i in range(20):
        tfrecords.write(source / f"{i}.tfrecord", records)
    plan = tmp_path / "plan.json"
    plan.write_text(plans.make("ab", [1.0, 5.0]).to_json())
    log = tmp_path / "log.txt"
    process = processes.fork_server().start(
        *("-m", "tfx_resampling.cli.main", "apply", str(plan)),
        *("--examples", f"{source}/*", "--output", str(tmp_path / "out")),
        environment=os.environ,
        directory=os.getcwd(),
        output=str(log),
    )
    deadline = time.monotonic() + 60
    while not glob.glob(f"{tmp_path}/out.partial*"):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(60) == 130, log.read_text()
    assert log.read_text().strip() == "interrupted; nothing was written."
    assert sorted(os.listdir(tmp_path)) == ["log.txt", "plan.json", "records"]


@pytest.mark.nightly
def test_check_names_duplicates(run, tmp_path):
    # 40 rows, each 50 times; a plan of some seed misses its counts by far.
    records = [
        tfrecords.example({"x": i % 40, "label": b"ab"[i % 2 : i % 2 + 1]})
        for i in range(2_000)
    ]
    tfrecords.spread(tmp_path, records, 2)
    flags = ["--examples", "part-*", "--label-key=label", "--size=records:300"]
    code, _, errors = run("plan", *flags)
    assert code == 2 and "2,000 records have 40 identities" in errors
    for seed in range(8):
        options = ["--on-duplicates=warn", f"--seed={seed}", "--overwrite"]
        assert run("plan", *flags, *options)[0] == 0
        code, output, _ = run("check", "plan.json", "--examples", "part-*", "--json")
        found = json.loads(output)
        assert found["distinct"] == 40 and code == (found["outside"] > 0)
        assert found["of_duplicates"] == found["outside"]
        if code:
            break
    else:
        pytest.fail("no seed misses the plan")
    _, output, _ = run("check", "plan.json", "--examples", "part-*")
    assert "2,000 records have 40 identities" in " ".join(output.split())
