"""One side of a comparison, in a process of its own, that works when it is asked.

A side is a module with a function for each workload. The function takes the size of the
workload and hands back one step: a function without arguments that does all the work
once and returns what it worked out, a number or an array or several. Nothing here needs
more than NumPy, so that a peer's own environment can run it.

Requests come in on standard input and answers go out on standard output, a line of JSON
each; what a library prints goes to standard error.

Usage: python -m benchmarks.worker benchmarks.feedforward.ours
"""

import contextlib
import ctypes
import functools
import gc
import importlib
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path

import numpy as np

from dlbook_lib.common.memory import keep_freed_memory

try:
    from resource import RUSAGE_SELF, getrusage
except ImportError:  # Windows
    getrusage = None

SAMPLE = 0.03  # seconds; shorter steps are repeated until they fill it


def switches():
    """How often the system has taken the processor away from this process."""
    return getrusage(RUSAGE_SELF).ru_nivcsw if getrusage else 0


def faults():
    """How many pages the system has had to bring in for this process."""
    return getrusage(RUSAGE_SELF).ru_minflt if getrusage else 0


def norms(answer):
    """The length of each array of an answer: enough to see whether two sides agree."""
    arrays = answer if isinstance(answer, (tuple, list)) else [answer]
    return [float(np.linalg.norm(np.asarray(a, dtype=float).ravel())) for a in arrays]


def status(field):
    """A line of Linux's account of this process, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


class Worker:
    """Holds the step of one workload at a time; one method for each request."""

    def __init__(self, module):
        self.keeps = keep_freed_memory()
        self.module = importlib.import_module(module)

    def about(self):
        """What decides how fast this side is, beside its code."""
        found = {"python": platform.python_version(), "numpy": np.__version__}
        for name in ("torch", "autograd", "mygrad", "micrograd", "jax"):
            if name in sys.modules:
                version = getattr(sys.modules[name], "__version__", "")
                found[name] = version or importlib.metadata.version(name)
        with contextlib.suppress(ImportError):
            from threadpoolctl import threadpool_info

            for pool in threadpool_info():
                what = pool["version"], pool.get("architecture"), pool["num_threads"]
                found[pool["internal_api"]] = "/".join(str(w) for w in what if w)
        return found | {"freed memory is kept": self.keeps}

    def open(self, workload, size):
        """Make a workload and do it once; None where this side has it not."""
        self.step = None  # the last workload's arrays go first
        gc.collect()
        make = getattr(self.module, workload, None)
        self.make = functools.partial(make, **size) if make else lambda: None
        self.step = self.make()
        if self.step is None:
            return None
        answer = norms(self.step())
        self.step()
        start = time.perf_counter()
        self.step()
        took = time.perf_counter() - start
        self.repeats = max(1, int(SAMPLE / max(took, 1e-9)))
        return answer

    def sample(self):
        """Seconds and page faults of a step, and how often a second was disturbed."""
        before, paged = switches(), faults()
        start = time.perf_counter()
        for _ in range(self.repeats):
            self.step()
        took = time.perf_counter() - start
        disturbed = (switches() - before) / took
        paged = (faults() - paged) / self.repeats
        return {"seconds": took / self.repeats, "faults": paged, "disturbed": disturbed}

    def peak(self):
        """Bytes that steps need at their peak beyond inputs and parameters; Linux.

        What the first step makes and keeps for the next counts too; the scratch of the
        libraries themselves does not, as `open` has gone through all of it.
        """
        forget = Path("/proc/self/clear_refs")
        if not forget.exists():
            return None
        self.step = None
        gc.collect()
        self.step = self.make()
        with contextlib.suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        forget.write_text("5")  # the peak so far
        base = status("VmRSS")
        for _ in range(2):
            self.step()
        return status("VmHWM") - base

    def sgemm(self):
        """Multiplications and additions a second in a large product of NumPy's."""
        a, best = np.ones((1024, 1024), np.float32), float("inf")
        out = np.empty_like(a)
        for _ in range(10):
            start = time.perf_counter()
            np.matmul(a, a, out=out)
            best = min(best, time.perf_counter() - start)
        return 2 * 1024**3 / best

    def left_over(self):
        """How many objects a step leaves to the garbage collector."""
        gc.collect()
        gc.disable()
        try:
            self.step()
            return gc.collect()
        finally:
            gc.enable()


def main():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(sys.argv[1])
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = {"value": getattr(worker, request.pop("do"))(**request)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=answers, flush=True)


if __name__ == "__main__":
    main()
