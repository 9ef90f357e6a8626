"""Run the benchmarks: all of them, or the rows that are named.

Usage: python -m benchmarks [ROW ...] [--rounds N] [--list]
"""

import argparse
import os
import platform
import subprocess
import sys
from pathlib import Path
from statistics import geometric_mean

from benchmarks import (
    applications,
    convolutional,
    feedforward,
    optimization,
    recurrent,
    regularization,
)
from benchmarks.harness import ROOT, Side, SideError
from benchmarks.rows import PINNED, Bench

CHAPTERS = [feedforward, regularization, optimization, convolutional, recurrent]
CHAPTERS += [applications]
PEERS = ROOT / ".venv-peers"
# what the geometric mean of all rows that count should be: with AVX2 kernels, and best
GOALS, STRETCH = (0.62, 0.48), (0.50, 0.40)


def peers_python():
    """The Python of the peers' environment, None where `make bench` has made none."""
    found = [PEERS / "bin/python", PEERS / "Scripts/python.exe"]
    return next((str(path) for path in found if path.exists()), None)


def installed(python, name):
    """Whether that Python can import a peer."""
    run = subprocess.run([python, "-c", f"import {name}"], capture_output=True)
    return run.returncode == 0


def peers(chapter):
    """The peers of a chapter that are installed; a line about each that is not."""
    python, found = peers_python(), []
    for name, module in chapter.PEERS.items():
        if python and installed(python, name):
            found.append(Side(name, module, python=python))
        else:
            print(f"without {name}: it is not installed in {PEERS.name}")
    return found


def processor():
    """What the processor calls itself."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def describe(bench):
    """Print what the numbers depend on."""
    for side in bench.two_kernels():
        about = side.ask("about")
        print(f"{side.name}: {', '.join(f'{k} {v}' for k, v in about.items())}")


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="by default all of them")
    parser.add_argument("--rounds", type=int, default=11, help="samples of each side")
    parser.add_argument("--list", action="store_true", help="name the rows and stop")
    options = parser.parse_args(arguments)
    known = [row.name for chapter in CHAPTERS for row in chapter.ROWS]
    if unknown := set(options.rows) - set(known):
        parser.error(
            f"no row {', '.join(sorted(unknown))}; there are {', '.join(known)}"
        )
    if options.list:
        print("\n".join(known))
        return 0
    print(f"{processor()}, {os.cpu_count()} processors, one thread where none is said")
    print(f"{PINNED}: {os.environ.get(PINNED, 'not set')}")
    failed, ratios = False, []
    for chapter in CHAPTERS:
        rows = [r for r in chapter.ROWS if r.name in options.rows or not options.rows]
        if rows:
            failed |= run(chapter, rows, options.rounds, ratios)
    if len(ratios) > 1:
        print(f"\nGeometric mean of {len(ratios)} ratios that have a goal")
        names = "with AVX2 kernels", "with the best"
        columns = zip(names, zip(*ratios, strict=True), GOALS, STRETCH, strict=True)
        for name, each, goal, stretch in columns:
            aims = f"(goal of all: {goal:.2f}, stretch {stretch:.2f})"
            print(f"  {name}: {geometric_mean(each):.2f} {aims}")
    return int(failed)


def run(chapter, rows, rounds, ratios):
    """Run rows of a chapter and append their `ratios`; whether one of them failed."""
    print(f"\n{chapter.__name__.rpartition('.')[2].upper()}")
    bench = Bench(chapter.REFERENCE, chapter.OURS, peers(chapter), rounds)
    failed = False
    try:
        describe(bench)
        for row in rows:
            try:
                if found := list(row.run(bench).values()):
                    ratios.append((found[0], found[-1]))
            except SideError as error:
                print(f"\n{row.title}\n  no result: {error}")
                failed = True
    finally:
        bench.stop()
    return failed


if __name__ == "__main__":
    sys.exit(main())
