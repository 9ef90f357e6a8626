"""Run the benchmarks: all of them, or the rows that are named.

Usage: python -m benchmarks [ROW ...] [--rounds N] [--list]
"""

import argparse
import math
import os
import platform
import subprocess
import sys
from pathlib import Path

from benchmarks import feedforward
from benchmarks.harness import ROOT, Side, SideError
from benchmarks.rows import PINNED, Bench

CHAPTERS = [feedforward]
PEERS = ROOT / ".venv-peers"


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
    print(f"{processor()}, {os.cpu_count()} processors, one thread for each side")
    print(f"{PINNED}: {os.environ.get(PINNED, 'not set')}")
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
    failed = False
    for chapter in CHAPTERS:
        failed |= run(chapter, options.rows or known, options.rounds)
    return int(failed)


def run(chapter, names, rounds):
    """Run the rows of a chapter that are named; whether one of them failed."""
    bench = Bench(chapter.REFERENCE, chapter.OURS, peers(chapter), rounds)
    failed, ratios = False, []
    try:
        describe(bench)
        for row in chapter.ROWS:
            if row.name not in names:
                continue
            try:
                ratios += list(row.run(bench).values())[-1:]
            except SideError as error:
                print(f"\n{row.title}\n  no result: {error}")
                failed = True
    finally:
        bench.stop()
    if len(ratios) > 1:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"\nGeometric mean of the {len(ratios)} ratios with a goal: {mean:.2f}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
