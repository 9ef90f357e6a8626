"""Train LeNet-5, the remake, in NumPy on MNIST or Fashion-MNIST, and its twin beside.

Usage: python -m benchmarks.training.lenet [--fashion] [--twin] [--epochs N]

With --twin the same network is trained in PyTorch from the same weights and the same
order of examples: the first steps in float64, where the losses must agree, then all of
them in float32, on a GPU if PyTorch sees one.
"""

import argparse
import sys
import time
from functools import partial

import numpy as np
from tqdm import tqdm

from dlbook_lib.common import data
from dlbook_lib.common.memory import keep_freed_memory
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.convolutional.lenet import layers, scratch

GOALS = {"mnist": 0.985, "fashion_mnist": 0.87}  # test accuracy
SECONDS, STRETCH = 60, 30  # of training
COMPARED, AGREE = 50, 1e-6  # steps in float64, and the largest relative difference


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.lenet")
    parser.add_argument("--fashion", action="store_true", help="clothes, not digits")
    parser.add_argument("--twin", action="store_true", help="train the twin as well")
    parser.add_argument("--epochs", type=int, help="by default 4, for clothes 6")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--lr", type=float, help="by default 0.1, for clothes 0.03")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    keep_freed_memory()
    name = "fashion_mnist" if options.fashion else "mnist"
    epochs = options.epochs or (6 if options.fashion else 4)
    train, test = getattr(data, name)()
    rng = numpy_generator(options.seed)
    state = layers.LeNet5Remake(rng=rng, dtype="float32").state_dict()
    order = np.concatenate([rng.permutation(len(train[0])) for _ in range(epochs)])
    lr = options.lr or (0.03 if options.fashion else 0.1)  # it falls to 0 in a line
    how = {"lr": lr, "momentum": 0.9, "batch_size": options.batch_size}
    print(f"{name}: {len(order):,} examples in {epochs} epochs, {how}")
    losses, share, seconds = by_numpy(state, train, test, order, how)
    reached = share >= GOALS[name]
    print(
        f"NumPy: test accuracy {share:.2%} (goal {GOALS[name]:.1%}) after "
        f"{seconds:.1f} s of training (goal {SECONDS} s, stretch {STRETCH} s)"
    )
    if options.twin:
        reached &= beside(state, train, test, order, how, losses)
    return int(not reached or seconds > SECONDS)


def progress(name):
    """A bar on a terminal, nothing elsewhere."""
    terminal = sys.stderr.isatty()
    return partial(tqdm, desc=name, unit="step", leave=False, disable=not terminal)


def by_numpy(state, train, test, order, how):
    """Losses (steps,), test accuracy and seconds of training."""
    net = layers.LeNet5Remake(rng=numpy_generator(0), dtype="float32")
    net.load_state_dict(state)
    begin = time.perf_counter()
    images = scratch.prepare(train[0], 28, "float32")
    losses = scratch.train_lenet_batch_last(
        net, images, train[1], order, **how, progress=progress("NumPy")
    )
    seconds = time.perf_counter() - begin
    images = scratch.prepare(test[0], 28, "float32")
    return losses, scratch.accuracy(net, images, test[1]), seconds


def by_pytorch(state, train, test, order, how, device, dtype="float32"):
    """The same by the twin; `test` may be None."""
    import torch

    from dlbook_lib.common.rng import torch_generator
    from dlbook_lib.convolutional.lenet import layers_pytorch, pytorch

    kind = getattr(torch, dtype)
    net = layers_pytorch.LeNet5Remake(rng=torch_generator(0), dtype=kind)
    net.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    net.to(device)
    begin = time.perf_counter()
    images, labels = arrays(train, kind, device)
    bar = progress(f"PyTorch, {dtype}")
    losses = pytorch.train_lenet_batch_last(
        net, images, labels, order, **how, progress=bar
    )
    losses = losses.cpu().numpy()  # waits for a GPU
    seconds = time.perf_counter() - begin
    share = pytorch.accuracy(net, *arrays(test, kind, device)) if test else None
    return losses, share, seconds


def arrays(examples, dtype, device):
    """Images (M, 1, 28, 28) and labels (M,) where the twin computes."""
    import torch

    from dlbook_lib.convolutional.lenet import pytorch

    images = pytorch.prepare(examples[0], 28, dtype).to(device)
    return images, torch.as_tensor(examples[1], dtype=torch.long).to(device)


def beside(state, train, test, order, how, losses):
    """Train the twin, print how far the losses are apart; whether float64 agrees."""
    from dlbook_lib.common.devices import best_device, device_name

    some = order[: COMPARED * how["batch_size"]]
    which, again = np.unique(some, return_inverse=True)
    first = train[0][which], train[1][which]
    net = layers.LeNet5Remake(rng=numpy_generator(0), dtype="float64")
    net.load_state_dict(state)
    images = scratch.prepare(first[0], 28, "float64")
    ours = scratch.train_lenet_batch_last(net, images, first[1], again, **how)
    theirs, _, _ = by_pytorch(state, first, None, again, how, "cpu", "float64")
    apart = np.max(abs(ours - theirs) / abs(theirs))
    agrees = bool(apart < AGREE)
    print(
        f"first {COMPARED} steps in float64: losses differ by {apart:.1e} at most, "
        f"relatively (goal {AGREE:.0e})"
    )
    device = best_device()
    theirs, share, seconds = by_pytorch(state, train, test, order, how, device)
    apart = abs(losses - theirs)
    print(
        f"PyTorch on {device_name(device)}: test accuracy {share:.2%} after "
        f"{seconds:.1f} s of training\nall steps in float32: losses differ by "
        f"{apart[:COMPARED].max():.1e} at most in the first {COMPARED}, by "
        f"{apart.max():.1e} in all {len(apart):,}"
    )
    return agrees


if __name__ == "__main__":
    sys.exit(main())
