"""A reader who uses one helper does not wait for libraries that it does not use."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "matplotlib", "IPython", "pygments", "sklearn", "scipy", "ipywidgets"}
LIMIT = 0.1  # seconds, NumPy not counted

SCRIPT = """
import sys, time, numpy
start = time.perf_counter()
import dlbook_lib.common.{name}
print(time.perf_counter() - start, *sorted({heavy} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    "name",
    ["checks", "claims", "devices", "exercises", "memory", "output", "rng", "source"],
)
def test_import_is_quick_and_light(name):
    code = SCRIPT.format(name=name, heavy=HEAVY)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    seconds, *loaded = run.stdout.split()
    assert not loaded, run.stderr
    assert float(seconds) < LIMIT
