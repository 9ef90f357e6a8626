"""The harness of the benchmarks on tiny sides; nothing here depends on a clock."""

import importlib
import sys
import textwrap

import numpy as np
import pytest

from benchmarks import __main__ as bench
from benchmarks import rows
from benchmarks.harness import ROOT, Side, SideError, Times, agree, race, slope
from benchmarks.worker import norms

pytestmark = pytest.mark.slow

SIDES = {
    "reference": """
        import numpy as np

        def double(n=3):
            return lambda: 2 * np.ones(n)
    """,
    "faithful": """
        import gc, os, sys
        import numpy as np

        print("what a library prints on import")

        def double(n=3):
            print("what it prints later")
            return lambda: np.ones(n) + np.ones(n)

        def environment():
            names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GIVEN", "GONE")
            return lambda: [float(os.environ.get(name, -1)) for name in names]

        def cycles():
            def step():
                for _ in range(5000):
                    ring = []
                    ring.append(ring)
                return 0
            return step

        def hungry(megabytes):
            return lambda: np.ones(megabytes * 125_000).sum()

        def broken():
            raise ArithmeticError("no such thing")

        def fatal():
            sys.stderr.write("the last words\\n")
            sys.stderr.flush()
            os._exit(3)

        def declined(n=3):
            return None
    """,
    "false": """
        def double(n=3):
            return lambda: 3.0
    """,
}


@pytest.fixture
def folder(tmp_path):
    """Where the modules of all sides lie."""
    for name, code in SIDES.items():
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
    return tmp_path


@pytest.fixture
def sides(folder):
    """Running sides by name; all are stopped at the end."""
    started = {}

    def start(name, **environment):
        side = Side(name, name, folder=folder, environment=environment)
        started[name, *environment.items()] = side
        return side.start()

    yield start
    for side in started.values():
        side.stop()


def test_a_side_answers_with_what_it_works_out(sides):
    faithful = sides("faithful")
    assert faithful.ask("open", workload="double", size={"n": 4}) == [4.0]
    sample = faithful.ask("sample")
    assert sample["seconds"] > 0
    assert {"seconds", "faults", "disturbed"} == set(sample)


def test_what_a_side_has_not_is_not_compared(sides):
    reference, faithful = sides("reference"), sides("faithful")
    for workload in ("nowhere", "declined"):
        assert faithful.ask("open", workload=workload, size={}) is None
    times = race([faithful, reference], "cycles", {}, rounds=1)
    assert list(times.seconds) == ["faithful"]


def test_a_fault_of_a_side_is_told_and_does_not_end_it(sides):
    faithful = sides("faithful")
    with pytest.raises(SideError, match="faithful: ArithmeticError: no such thing"):
        faithful.ask("open", workload="broken", size={})
    assert faithful.ask("open", workload="double", size={}) is not None


def test_the_last_words_of_a_side_are_told(sides):
    faithful = sides("faithful")
    with pytest.raises(SideError, match="faithful has ended: the last words"):
        faithful.ask("open", workload="fatal", size={})
    with pytest.raises(SideError, match="has ended"):
        faithful.ask("sample")


def test_a_side_that_cannot_be_imported_is_told(tmp_path):
    side = Side("absent", "absent", folder=tmp_path).start()
    with pytest.raises(SideError, match="No module named 'absent'"):
        side.ask("sample")
    side.stop()


def test_all_sides_have_one_thread_and_the_environment_they_ask_for(sides, monkeypatch):
    monkeypatch.setenv("GONE", "5")
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    faithful = sides("faithful", GIVEN="7", GONE=None)
    answer = faithful.ask("open", workload="environment", size={})
    assert answer == [1, 1, 7, 1]  # the norms of 1, 1, 7 and −1


def test_sides_that_disagree_are_not_compared(sides):
    with pytest.raises(SideError, match="false finds"):
        race([sides("reference"), sides("false")], "double", {}, rounds=1)


@pytest.mark.parametrize("found", [[1.0, 2.01], [1.0], [float("nan"), 2.0]])
def test_disagreement_is_seen(found):
    agree({"reference": [1.0, 2.0], "same": [1.0 + 1e-6, 2.0]})
    with pytest.raises(SideError, match="other finds"):
        agree({"reference": [1.0, 2.0], "other": found})


def test_sides_take_turns(sides):
    both = [sides("reference"), sides("faithful")]
    order = []
    for side in both:
        sample = side.sample
        side.sample = lambda s=sample, n=side.name: order.append(n) or s()
    times = race(both, "double", {"n": 2}, rounds=3)
    first, second = "reference", "faithful"
    assert order == [first, second, second, first, first, second]
    assert [len(each) for each in times.seconds.values()] == [3, 3]


def test_a_disturbed_sample_is_taken_again(monkeypatch):
    side = Side("any", "any")
    samples = iter([{"disturbed": d, "seconds": d} for d in (90, 70, 10, 80)])
    monkeypatch.setattr(side, "ask", lambda do: next(samples))
    assert side.sample()["seconds"] == 10
    assert next(samples)["seconds"] == 80
    samples = iter([{"disturbed": d, "seconds": d} for d in (90, 70, 95, 80, 1)])
    assert side.sample()["seconds"] == 70


def test_ratios_are_taken_in_pairs():
    a, b = [1.0, 2.0, 4.0, 1.0, 2.0], [3.0, 6.0, 4.0, 3.0, 2.0]
    times = Times({"a": dict(enumerate(a)), "b": dict(enumerate(b)), "c": {3: 5.0}}, {})
    assert times.ratios("b") == (1.0, 3.0, 3.0)
    assert times.ratios("a") == (1.0, 1.0, 1.0)
    assert times.ratios("c") == (5.0, 5.0, 5.0)
    assert times.median("b") == 3.0


def test_a_long_step_has_a_sample_in_every_fourth_round(sides, monkeypatch):
    both = [sides("reference"), sides("faithful")]
    for side, seconds in zip(both, (9.0, 0.5), strict=True):
        found = {"seconds": seconds, "faults": 0, "disturbed": 0}
        monkeypatch.setattr(side, "sample", lambda found=found: found)
    times = race(both, "double", {}, rounds=10)
    assert list(times.seconds["reference"]) == list(range(10))
    assert list(times.seconds["faithful"]) == [0, 4, 8]


def test_slope():
    assert slope([10, 100, 1000], [0.2, 2.0, 20.0]) == pytest.approx(1)
    assert slope([1, 2, 4], [3.0, 12.0, 48.0]) == pytest.approx(2)


def test_norms():
    assert norms(3) == [3.0]
    assert norms((2.0, np.array([[3.0], [4.0]]))) == [2.0, 5.0]


def test_what_is_left_to_the_garbage_collector_is_counted(sides):
    faithful = sides("faithful")
    faithful.ask("open", workload="cycles", size={})
    assert faithful.ask("left_over") == 5000
    faithful.ask("open", workload="double", size={})
    assert faithful.ask("left_over") == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_the_peak_of_a_step_is_seen(sides):
    faithful = sides("faithful", DLBOOK_KEEP_MEMORY="0")
    peaks = []
    for megabytes in (1, 60, 1):
        faithful.ask("open", workload="hungry", size={"megabytes": megabytes})
        peaks.append(faithful.ask("peak"))
    if None in peaks:
        pytest.skip("this Linux does not tell")
    peaks = [peak / 1e6 for peak in peaks]
    assert peaks[0] < 10
    assert 55 < peaks[1] < 75
    assert peaks[2] < 10  # the peak of before is forgotten


# ------------------------------------------------------------------------- the rows


@pytest.fixture
def tiny(folder):
    """A bench with a reference, a side of our own and a peer."""
    named = {"reference": "reference", "ours": "faithful", "peer": "faithful"}
    three = [Side(name, module, folder=folder) for name, module in named.items()]
    bench = rows.Bench(*three[:2], three[2:], rounds=2)
    yield bench
    bench.stop()


def words(out):
    """The lines of what was printed, each as its words."""
    return [line.split() for line in out.splitlines()]


def test_a_row_of_speed(tiny, capsys):
    row = rows.Speed("tiny", "Twice", "double", {"n": 5}, goal=0.6, stretch=0.5)
    kept = row.run(tiny)
    out = capsys.readouterr().out
    assert "\nTwice\n" in out
    lines = {line[0]: line for line in words(out)[3:6]}
    assert list(lines) == ["reference", "ours", "peer"]
    assert lines["reference"][3:7] == ["1.00", "1.00", "to", "1.00"]
    assert lines["ours"][-3:-1] == ["0.60", "0.50"]
    assert "0.60" not in lines["peer"][-3:]
    both = [line[:3] for line in words(out)[6:]]
    assert both == [["reference,", "2", "threads"], ["ours,", "2", "threads"]]
    assert "0.60" not in words(out)[-1]
    assert list(kept) == ["ours"]


def test_two_threads_are_two(tiny):
    for side in tiny.two_threads():
        if side.module == "faithful":
            assert side.ask("open", workload="environment", size={})[:2] == [2, 2]


def test_a_row_without_a_goal_has_one_thread_and_counts_for_nothing(tiny, capsys):
    assert rows.Speed("tiny", "Twice", "double").run(tiny) == {}
    assert "threads" not in capsys.readouterr().out
    assert not rows.Speed("tiny", "Twice", "double", goal=1.0, in_mean=False).run(tiny)


def test_a_row_where_kernels_count_has_two_goals(tiny, capsys, monkeypatch):
    row = rows.Speed("tiny", "Twice", "double", goal=(0.8, 0.5), flops=1.0)
    monkeypatch.setattr(rows.platform, "machine", lambda: "x86_64")
    assert list(row.run(tiny)) == ["ours, AVX2", "ours, free"]
    out = capsys.readouterr().out
    lines = [line for line in words(out) if "to" in line and "threads" not in line]
    assert [line[-2] for line in lines if line[0] == "ours,"] == ["0.80", "0.50"]
    assert "ours, AVX2: 0% of" in out
    monkeypatch.setattr(rows.platform, "machine", lambda: "arm64")
    assert list(row.run(tiny)) == ["ours"]
    assert "0.50" in capsys.readouterr().out


def test_a_sweep_tells_how_time_grows(tiny, capsys):
    sizes = {n: {"n": n} for n in (1, 1000)}
    rows.Sweep("tiny", "Twice", "double", sizes).run(tiny)
    lines = words(capsys.readouterr().out)
    assert [line[0] for line in lines[3:]] == ["1", "1,000", "slope,"]
    rows.Sweep("tiny", "Twice", "double", {"one": {"n": 1}}, grows=False).run(tiny)
    assert [line[0] for line in words(capsys.readouterr().out)[3:]] == ["one"]


def test_other_rows(tiny, capsys):
    rows.Freed("tiny", "Left", "cycles").run(tiny)
    lines = words(capsys.readouterr().out)
    assert lines[3:] == [["ours", "5,000"], ["peer", "5,000"]]
    rows.Peak("tiny", "Peak", "double", goal=0.5).run(tiny)
    out = capsys.readouterr().out
    assert "0.50  " in out or "only Linux tells" in out
    assert "1.10" in out or "only Linux tells" in out


def test_imports_are_timed_in_a_new_python(tiny, capsys):
    row = rows.Imports("tiny", "Import time", "feedforward/xor/scratch.py")
    assert row.modules() == ["dlbook_lib", "dlbook_lib.feedforward.xor.scratch"]
    row.run(tiny)
    lines = words(capsys.readouterr().out)
    assert [line[0] for line in lines[3:]] == row.modules()
    assert not {"torch", "matplotlib.pyplot"} & set(lines[-1])


def test_a_module_that_cannot_be_imported_is_told(tiny, capsys, monkeypatch):
    row = rows.Imports("tiny", "Import time", "no/file.py")
    monkeypatch.setattr(row, "modules", lambda: ["dlbook_lib.absent"])
    row.run(tiny)
    assert "No module named 'dlbook_lib.absent'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(2.5, "2.5 s"), (0.0123, "12.3 ms"), (4.56e-6, "4.56 µs"), (1e-8, "0.01 µs")],
)
def test_durations(seconds, shown):
    assert rows.duration(seconds) == shown


# ---------------------------------------------------------------------- the command

NAMES = [row.name for chapter in bench.CHAPTERS for row in chapter.ROWS]


def test_rows_are_listed_and_unknown_ones_refused(capsys):
    assert bench.main(["--list"]) == 0
    assert capsys.readouterr().out.split() == NAMES
    with pytest.raises(SystemExit):
        bench.main(["no_such_row"])
    assert "there are mlp" in capsys.readouterr().err


class Chapter:
    """A chapter of two rows, one of which fails, and a peer that is nowhere."""

    __name__ = "benchmarks.tiny"

    def __init__(self, tiny):
        self.PEERS = {"surely_no_such_module": "anything"}
        self.REFERENCE, self.OURS = tiny.reference, tiny.ours
        broken = rows.Speed("bad", "Broken", "broken")
        self.ROWS = [broken, rows.Speed("good", "Twice", "double")]


def test_a_row_that_fails_does_not_hide_the_others(tiny, capsys, monkeypatch):
    monkeypatch.setattr(bench, "CHAPTERS", [Chapter(tiny)])
    assert bench.main(["--rounds", "1"]) == 1
    out = capsys.readouterr().out
    assert "without surely_no_such_module: it is not installed" in out
    assert "no result: ours: ArithmeticError: no such thing" in out
    assert "\nTwice\n" in out
    assert "OPENBLAS_CORETYPE: " in out
    assert bench.main(["good", "--rounds", "1"]) == 0


def test_the_mean_stands_beside_its_goal(tiny, capsys, monkeypatch):
    chapter = Chapter(tiny)
    chapter.ROWS = [rows.Speed(name, "Twice", "double", goal=1.0) for name in "ab"]
    monkeypatch.setattr(bench, "CHAPTERS", [chapter])
    assert bench.main(["--rounds", "1"]) == 0
    out = capsys.readouterr().out
    assert "mean of 2 ratios" in out
    assert out.count("(goal of all: 0.62, stretch 0.50)") == 1
    assert out.count("(goal of all: 0.48, stretch 0.40)") == 1


def test_names_are_unique():
    assert len(NAMES) == len(set(NAMES))


# ------------------------------------------------------- the workloads of the chapters

CONV = {"batch": 2, "channels": 3, "filters": 5, "side": 6}
NORMED = {"batch": 3, "channels": 2}
ATTENTION = {"length": 6, "batch": 2}
SEQUENCES = {"length": 4, "batch": 3, "hidden": 5}
SMALL = {
    "mlp": {"batch": 3},
    "mlp_readable": {"batch": 3},
    "cross_entropy": {"batch": 3, "classes": 7},
    "chain": {"length": 6},
    "hvp": {"batch": 3},
    "xor_step": {"stack": 2, "examples": 4, "inputs": 3, "width": 5},
    "dropout": {"units": 100},
    "dropout_readable": {"units": 100},
    "adam": {"parameters": 160},
    "adam_readable": {"parameters": 160},
    **dict.fromkeys(("batch_norm", "batch_norm_readable"), NORMED),
    **dict.fromkeys(("conv", "conv_readable"), CONV),
    **dict.fromkeys(("conv_batch_last", "conv_winograd"), CONV),
    "max_pool": {"batch": 2},
    "max_pool_readable": {"batch": 2},
    "lenet": {"batch": 3},
    "lenet_readable": {"batch": 3},
    **dict.fromkeys(("rnn", "gru", "lstm"), SEQUENCES),
    **dict.fromkeys(("rnn_readable", "gru_readable", "lstm_readable"), SEQUENCES),
    **dict.fromkeys(("attention", "attention_readable"), ATTENTION),
}
WORKLOADS = [
    (chapter, workload)
    for chapter in bench.CHAPTERS
    for workload in dict.fromkeys(
        getattr(row, "workload", None) for row in chapter.ROWS
    )
    if workload
]


@pytest.mark.parametrize(("chapter", "workload"), WORKLOADS, ids=str)
def test_ours_and_pytorch_do_the_same_work(chapter, workload):
    sides = [
        importlib.import_module(s.module) for s in (chapter.REFERENCE, chapter.OURS)
    ]
    steps = [getattr(side, workload)(**SMALL[workload]) for side in sides]
    first, second = ([norms(step()) for step in steps] for _ in range(2))
    agree(dict(zip(("PyTorch", "ours"), first, strict=True)))
    agree(dict(zip(("PyTorch", "ours"), second, strict=True)))
    if workload.removesuffix("_readable") in ("mlp", "xor_step", "adam", "lenet"):
        for name, before, after in zip(("PyTorch", "ours"), first, second, strict=True):
            with pytest.raises(SideError):  # else a step that does nothing would do
                agree({name: before, "after another step": after})


def test_peers_are_pinned_and_no_trap():
    lines = (ROOT / "requirements-peers.txt").read_text().splitlines()
    named = [line.partition("==") for line in lines if line and line[0] != "#"]
    assert all(version for _, _, version in named)
    peers = {peer for chapter in bench.CHAPTERS for peer in chapter.PEERS}
    assert {name for name, *_ in named} >= peers
    assert "minitorch" not in {name for name, *_ in named}  # it overwrites torch
