"""One training step of a two-layer network: how NumPy's time compares with PyTorch's.

The two take turns, so that a busy machine slows both; a ratio of medians is printed for
each size. Above 1 NumPy is the slower one.

Usage: python benchmarks/xor_training.py
"""

import statistics
import time

import numpy as np
import torch

import dlbook_lib.feedforward.xor.pytorch as xor_torch
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.xor.scratch import TwoLayerNet, descend

ROUNDS, STEPS = 15, 30
SIZES = [  # networks in the stack, examples, inputs, hidden units
    (1, 4, 2, 2),
    (100, 4, 2, 16),
    (1, 100, 392, 64),
    (1, 1000, 784, 256),
]


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(stack, examples, inputs, width):
    """Median seconds for one step, NumPy's and PyTorch's, both in float32."""
    rng = numpy_generator(0)
    nets = [TwoLayerNet(inputs, width, rng=rng).parameters() for _ in range(stack)]
    ours = [np.stack(each).astype("f4") for each in zip(*nets, strict=True)]
    theirs = [torch.tensor(each) for each in ours]
    x = rng.normal(size=(examples, inputs)).astype("f4")
    y = rng.normal(size=(examples, 1)).astype("f4")
    x_torch, y_torch = torch.tensor(x), torch.tensor(y)
    times = []
    for _ in range(ROUNDS + 1):
        numpy = seconds(lambda: descend(ours, x, y, lr=1e-6, steps=STEPS))
        pytorch = seconds(
            lambda: xor_torch.descend(theirs, x_torch, y_torch, lr=1e-6, steps=STEPS)
        )
        times.append((numpy / STEPS, pytorch / STEPS))
    return [statistics.median(each) for each in zip(*times[1:], strict=True)]


def main():
    torch.set_num_threads(1)
    print("networks  examples  inputs  width   NumPy (ms)  PyTorch (ms)  ratio")
    for size in SIZES:
        numpy, pytorch = compare(*size)
        columns = "  ".join(f"{n:8d}" for n in size)
        milliseconds = f"{1e3 * numpy:11.3f}  {1e3 * pytorch:12.3f}"
        print(f"{columns} {milliseconds}  {numpy / pytorch:5.2f}", flush=True)


if __name__ == "__main__":
    main()
