"""Side by side: the sides of a comparison take turns, and ratios are taken in pairs.

A busy machine slows a program down by a third and its neighbour too. So each side is a
process of its own, all have as many threads and the same allocator, each round takes a
sample of about 30 ms from every side, and what counts is the median over the rounds of
the ratio to the reference *in the same round*, with its quartiles. pyperf and asv time
one program after the other, in one environment; neither pairs samples of several.
"""

import contextlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONG = 0.4  # seconds; a side that takes longer has a sample in every fourth round
DISTURBED = 50  # context switches a second that were not asked for; then sample again


def threads(n):
    """What a process's environment says for libraries to use `n` threads."""
    libraries = "OMP", "OPENBLAS", "MKL", "NUMBA"
    return {f"{library}_NUM_THREADS": str(n) for library in libraries}


class SideError(Exception):
    """A side did not do what it was asked."""


@dataclass
class Side:
    """One side of a comparison: what it is called, and what computes it where.

    A variable of the environment that is None is taken away.
    """

    name: str
    module: str
    python: str = sys.executable
    environment: dict = field(default_factory=dict)
    folder: Path = ROOT

    def start(self):
        """Start the worker; hand back the side."""
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (until `stop`)
        everything = os.environ | threads(1) | {"PYTHONPATH": str(ROOT)}
        everything |= self.environment
        self.process = subprocess.Popen(
            [self.python, "-m", "benchmarks.worker", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            cwd=self.folder,
            env={k: v for k, v in everything.items() if v is not None},
        )
        return self

    def stop(self):
        """Let the worker end."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def ask(self, do, **request):
        """What the worker answers; SideError if it could not."""
        try:
            self.process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self.process.wait()
            self.errors.seek(0)
            last = self.errors.read().strip().splitlines()[-1:]
            raise SideError(f"{self.name} has ended: {''.join(last)}")
        reply = json.loads(line)
        if "error" in reply:
            raise SideError(f"{self.name}: {reply['error']}")
        return reply["value"]

    def sample(self):
        """The least disturbed of up to four samples."""
        best = self.ask("sample")
        for _ in range(3):
            if best["disturbed"] <= DISTURBED:
                break
            best = min(best, self.ask("sample"), key=lambda each: each["disturbed"])
        return best


@dataclass
class Times:
    """Seconds and page faults of a step: of each side, by the number of the round.

    The reference comes first and has a sample in every round.
    """

    seconds: dict
    faults: dict

    def median(self, name):
        return statistics.median(self.seconds[name].values())

    def ratios(self, name):
        """Lower quartile, median and upper quartile of the ratio to the reference."""
        reference = next(iter(self.seconds.values()))
        pairs = self.seconds[name].items()
        ratios = sorted(seconds / reference[i] for i, seconds in pairs)
        middle = statistics.median(ratios)
        quarter = len(ratios) // 4
        return ratios[quarter], middle, ratios[-1 - quarter]


def agree(answers, tolerance=1e-4):
    """Refuse to compare sides that work out different things; the first is right."""
    (reference, expected), *others = answers.items()
    for name, found in others:
        pairs = zip(found, expected, strict=False)
        same = len(found) == len(expected) and all(
            math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-8) for a, b in pairs
        )
        if not same:
            raise SideError(f"{name} finds {found} where {reference} finds {expected}")


def race(sides, workload, size, rounds):
    """Time a workload on all sides that have it, in turns.

    Parameters
    ----------
    sides : list of Side
        Running; the first is the reference.
    workload : str
        Name of a function of their modules.
    size : dict
        What that function takes.
    rounds : int

    Returns
    -------
    Times
        Seconds of a step.
    """
    answers = {}
    for side in sides:
        answer = side.ask("open", workload=workload, size=size)
        if answer is not None:
            answers[side.name] = answer
    agree(answers)
    running = [side for side in sides if side.name in answers]
    times = Times({name: {} for name in answers}, {name: {} for name in answers})
    for i in range(rounds):
        for side in running[:: -1 if i % 2 else 1]:
            last = times.seconds[side.name].get(i - 1 - (i - 1) % 4, 0)
            if side is not running[0] and last > LONG and i % 4:
                continue
            sample = side.sample()
            times.seconds[side.name][i] = sample["seconds"]
            times.faults[side.name][i] = sample["faults"]
    return times


def slope(sizes, seconds):
    """How steeply the time grows: the exponent p of time ~ size^p, by least squares."""
    x, y = [math.log(n) for n in sizes], [math.log(s) for s in seconds]
    return statistics.linear_regression(x, y).slope
