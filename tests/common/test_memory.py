"""Freed memory stays where glibc allows it, and nothing happens where it does not."""

import ctypes
import os
import subprocess
import sys

import pytest

from dlbook_lib.common import memory
from dlbook_lib.common.memory import keep_freed_memory

COUNT = """
import resource, sys
import numpy as np
from dlbook_lib.common.memory import keep_freed_memory

def faults(rounds=20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(rounds):
        arrays = [np.ones(300_000) for _ in range(8)]  # 2.4 MB each
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
default = faults()
kept = keep_freed_memory()
faults()  # the heap grows once
print(kept, default, faults())
"""
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="glibc is Linux's")


def count(**environment):
    """Whether memory was kept, and the page faults without and with it."""
    run = subprocess.run(
        [sys.executable, "-c", COUNT],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    kept, *faults = run.stdout.split()
    return kept == "True", *map(int, faults)


@on_linux
def test_freed_memory_is_not_faulted_in_again():
    kept, default, after = count(DLBOOK_KEEP_MEMORY="1")
    if not kept:
        pytest.skip("another C library than glibc")
    if default < 1000:
        pytest.skip("large pages: there is hardly a fault to save")
    assert after < default / 10


@on_linux
def test_the_environment_forbids_it():
    kept, default, after = count(DLBOOK_KEEP_MEMORY="0")
    assert not kept
    assert default < 1000 or after > default / 2


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(monkeypatch, platform):
    monkeypatch.delenv("DLBOOK_KEEP_MEMORY", raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", None)  # calling it would fail
    assert keep_freed_memory() is False


class Libc:
    """A C library that takes thresholds up to a limit."""

    def __init__(self, limit):
        self.limit, self.set = limit, {}

    def gnu_get_libc_version(self):
        return "2.31"

    def mallopt(self, parameter, value):
        if parameter == memory.MMAP_THRESHOLD and value > self.limit:
            return 0
        self.set[parameter] = value
        return 1


@pytest.mark.parametrize(("limit", "threshold"), [(2**40, 2**30), (2**25, 2**25)])
def test_an_older_glibc_gets_the_most_it_takes(monkeypatch, limit, threshold):
    libc = Libc(limit)
    monkeypatch.delenv("DLBOOK_KEEP_MEMORY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
    assert keep_freed_memory() is True
    assert libc.set[memory.MMAP_THRESHOLD] == threshold
    assert libc.set[memory.TRIM_THRESHOLD] == 2**31 - 1


def test_refusals_are_told(monkeypatch):
    monkeypatch.delenv("DLBOOK_KEEP_MEMORY", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Libc(0))
    assert keep_freed_memory() is False
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())  # musl
    assert keep_freed_memory() is False
