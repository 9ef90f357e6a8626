"""The kinds of row that the benchmarks have: what each measures and how it is printed.

Every row has a name, by which ``make bench ROWS=…`` chooses, and `run(bench)`, which
measures, prints a table and hands back the ratios to the reference that have a goal.
"""

import os
import platform
import statistics
import subprocess
import sys
from dataclasses import dataclass, field, replace

from benchmarks.harness import ROOT, Side, race, slope, threads

PINNED = "OPENBLAS_CORETYPE"  # which kernels OpenBLAS takes, on x86


@dataclass
class Bench:
    """The sides of a chapter's rows; a side is started when a row first asks for it."""

    reference: Side
    ours: Side
    peers: list = field(default_factory=list)
    rounds: int = 11
    started: dict = field(default_factory=dict)

    def side(self, side, name=None, **environment):
        """`side`, running, perhaps under another name and in another environment."""
        key = (name or side.name, *environment.items())
        if key not in self.started:
            everything = side.environment | environment
            side = replace(side, name=key[0], environment=everything)
            self.started[key] = side.start()
        return self.started[key]

    def all(self):
        """The reference, the library, and the peers."""
        return [self.side(side) for side in (self.reference, self.ours, *self.peers)]

    def two_kernels(self):
        """As `all`, the library once with AVX2 kernels and once with the best."""
        reference, ours, *peers = self.all()
        if platform.machine() not in ("x86_64", "AMD64"):
            return [reference, ours, *peers]
        narrow = self.side(self.ours, f"{ours.name}, AVX2", **{PINNED: "Haswell"})
        best = self.side(self.ours, f"{ours.name}, free", **{PINNED: None})
        return [reference, narrow, best, *peers]

    def two_threads(self):
        """The reference and the library, both with two threads."""
        both = self.reference, self.ours
        return [self.side(s, f"{s.name}, 2 threads", **threads(2)) for s in both]

    def stop(self):
        """End all workers."""
        for side in self.started.values():
            side.stop()
        self.started.clear()


def table(title, columns, lines):
    """Print a table: the first column flush left, the others flush right."""
    rows = [columns, *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    print(f"\n{title}")
    for first, *rest in rows:
        numbers = [c.rjust(w) for c, w in zip(rest, widths[1:], strict=True)]
        print(f"  {first.ljust(widths[0])}  {'  '.join(numbers)}".rstrip(), flush=True)


def duration(seconds):
    """Seconds with three digits and the unit that suits them."""
    units = {"s": 1, "ms": 1e3, "µs": 1e6}
    unit = next((unit for unit, n in units.items() if seconds * n >= 1), "µs")
    return f"{seconds * units[unit]:.3g} {unit}"


@dataclass
class Speed:
    """One workload on every side that has it; two goals where BLAS decides.

    A row with a goal is also measured with two threads, ours beside the reference's.

    The goal of such a row depends on the processor: the second is for one whose AVX-512
    kernels do twice the work of its AVX2 kernels, and many do not. What carries over is
    the share of the speed of one large matrix product, measured in the same run.
    """

    name: str
    title: str
    workload: str
    size: dict = field(default_factory=dict)
    goal: float | tuple | None = None
    stretch: float | tuple | None = None
    flops: float | None = None  # that the task needs in products of matrices
    in_mean: bool = True  # whether the mean of all rows with a goal counts it

    def targets(self, side, ours):
        """Goal and stretch of one side, None for those that have none."""
        if not side.startswith(ours) or side.endswith("threads"):
            return None, None
        which = 0 if side.endswith("AVX2") else -1
        both = (self.goal, self.stretch)
        return [each[which] if isinstance(each, tuple) else each for each in both]

    def run(self, bench):
        """Print time, ratio with quartiles, targets, and page faults of each side."""
        kernels = isinstance(self.goal, tuple)
        sides = bench.two_kernels() if kernels else bench.all()
        times = race(sides, self.workload, self.size, bench.rounds)
        lines = [self.line(name, times, bench.ours.name) for name in times.seconds]
        ours = [name for name in times.seconds if name.startswith(bench.ours.name)]
        kept = {name: times.ratios(name)[1] for name in ours}
        if self.goal:
            both = race(bench.two_threads(), self.workload, self.size, bench.rounds)
            lines += [self.line(name, both, bench.ours.name) for name in both.seconds]
        columns = ["", "a step", "ratio", "quartiles", "goal", "stretch", "faults"]
        table(self.title, columns, lines)
        for side in sides if self.flops else []:
            if side.name in kept:
                fastest, took = side.ask("sgemm"), times.median(side.name)
                share = f"{self.flops / took / fastest:.0%}"
                print(f"  {side.name}: {share} of {fastest / 1e9:.0f} GFLOP/s (sgemm)")
        return kept if self.goal and self.in_mean else {}

    def line(self, name, times, ours):
        """What the table says of one side."""
        low, ratio, high = times.ratios(name)
        targets = self.targets(name, ours)
        shown = ["" if each is None else f"{each:.2f}" for each in targets]
        pages = f"{statistics.median(times.faults[name].values()):.0f}"
        took = duration(times.median(name))
        return [name, took, f"{ratio:.2f}", f"{low:.2f} to {high:.2f}", *shown, pages]


@dataclass
class Sweep:
    """One workload at several sizes, the library beside the reference."""

    name: str
    title: str
    workload: str
    sizes: dict  # what the line is called: what the workload takes
    grows: bool = True  # whether the lines are called by the size that grows
    rounds: int = 5

    def run(self, bench):
        """Print times and ratio at each size, and how steeply each side grows."""
        sides = bench.all()[:2]
        lines, seconds = [], []
        for label, size in self.sizes.items():
            times = race(sides, self.workload, size, min(self.rounds, bench.rounds))
            theirs, ours = (times.median(side.name) for side in sides)
            low, ratio, high = times.ratios(sides[1].name)
            quartiles = f"{low:.2f} to {high:.2f}"
            took = duration(theirs), duration(ours)
            lines.append([f"{label:,}" if self.grows else label, *took])
            lines[-1] += [f"{ratio:.2f}", quartiles]
            seconds.append((theirs, ours))
        columns = ["", *(side.name for side in sides), "ratio", "quartiles"]
        if self.grows:
            steep = [slope(self.sizes, each) for each in zip(*seconds, strict=True)]
            lines.append(["slope, log–log", *(f"{each:.2f}" for each in steep), "", ""])
        table(self.title, columns, lines)
        return {}


@dataclass
class Freed:
    """What a step leaves behind for the garbage collector, on every side."""

    name: str
    title: str
    workload: str
    size: dict = field(default_factory=dict)

    def run(self, bench):
        """Print how many objects only the garbage collector could free."""
        lines = []
        for side in bench.all():
            if side.ask("open", workload=self.workload, size=self.size) is not None:
                lines.append([side.name, f"{side.ask('left_over'):,}"])
        table(self.title, ["", "objects"], lines)
        return {}


@dataclass
class Peak:
    """The most memory that a step needs beyond its inputs, on every side."""

    name: str
    title: str
    workload: str
    size: dict = field(default_factory=dict)
    goal: float | None = None
    stretch: float | None = 1.1

    def run(self, bench):
        """Print megabytes and the ratio to the reference; Linux only."""
        lines, reference = [], None
        for each in (bench.reference, bench.ours, *bench.peers):
            side = bench.side(each, DLBOOK_KEEP_MEMORY="0")
            if side.ask("open", workload=self.workload, size=self.size) is None:
                continue
            peaks = [side.ask("peak") for _ in range(5)]
            if None in peaks:
                print(f"\n{self.title}: only Linux tells")
                return {}
            bytes = statistics.median(peaks)
            reference = max(bytes, 1) if reference is None else reference
            both = [self.goal, self.stretch] if each is bench.ours else [None, None]
            shown = ["" if n is None else f"{n:.2f}" for n in both]
            ratio = f"{bytes / reference:.2f}"
            lines.append([side.name, f"{bytes / 1e6:.1f} MB", ratio, *shown])
        table(self.title, ["", "peak", "ratio", "goal", "stretch"], lines)
        return {}


IMPORT = """
import sys, time
start = time.perf_counter()
import numpy
between = time.perf_counter()
import {module}
end = time.perf_counter()
heavy = sorted({{"torch", "matplotlib.pyplot", "scipy"}} & sys.modules.keys())
print(between - start, end - between, *heavy)
"""


@dataclass
class Imports:
    """How long an import takes in a new Python, beside NumPy's own."""

    name: str
    title: str
    pattern: str  # of files
    goal: float = 0.1  # seconds

    def modules(self):
        """The library itself, and the modules that the pattern finds."""
        files = sorted((ROOT / "dlbook_lib").glob(self.pattern))
        names = [".".join(f.relative_to(ROOT).with_suffix("").parts) for f in files]
        return ["dlbook_lib", *names]

    def run(self, bench):
        """Print milliseconds and what heavy came along; the median of five."""
        lines = []
        for module in self.modules():
            code = [sys.executable, "-c", IMPORT.format(module=module)]
            runs = []
            for _ in range(min(5, bench.rounds)):
                run = subprocess.run(
                    code, cwd=ROOT, capture_output=True, text=True, env=os.environ
                )
                runs.append(run.stdout.split())
            if not all(runs):
                lines.append([module, "fails", "", run.stderr.strip().splitlines()[-1]])
                continue
            numpy, own = (statistics.median(float(r[i]) for r in runs) for i in (0, 1))
            heavy = ", ".join(runs[0][2:])
            lines.append([module, duration(numpy), duration(own), heavy])
        title = f"{self.title} (goal: {1e3 * self.goal:.0f} ms beyond NumPy)"
        table(title, ["", "NumPy", "the module", "and it loads"], lines)
        return {}
