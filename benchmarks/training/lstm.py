"""Train a letter model, an LSTM, in NumPy on Shakespeare, and its twin beside.

Usage: python -m benchmarks.training.lstm [--twin] [--steps N]

The text is cut into columns that are read side by side, some letters of each in a step;
states go on from step to step, gradients do not. The last twentieth of the text is kept
for validation. With --twin the same network is trained in PyTorch from the same weights
and in the same order: the first steps in float64, where the losses must agree, then all
of them in float32, on a GPU if PyTorch sees one.

In float32 the two round sums in different orders. Each step hands such differences, of
1e-7 at first, through a recurrence and through Adam, which divides by small numbers, to
the next; in the end the traces are those of two runs that began in almost the same
place. What must agree then is how well the networks have learned, and to `CLOSE` bits.
"""

import argparse
import sys
import time
from functools import partial
from types import SimpleNamespace

import numpy as np

from benchmarks.training.lenet import progress
from dlbook_lib.common import data
from dlbook_lib.common.memory import keep_freed_memory
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import no_grad
from dlbook_lib.optimization.adaptive_rates import scratch as rates
from dlbook_lib.optimization.sgd.scratch import linear_decay
from dlbook_lib.recurrent.backpropagation_through_time import layers as models
from dlbook_lib.recurrent.backpropagation_through_time import scratch as letters
from dlbook_lib.recurrent.backpropagation_through_time.second_derivatives import (
    sequence_nll,
)
from dlbook_lib.recurrent.gated_units import layers as gated

GOAL = 2.2  # bits per character in validation
COMPARED, AGREE = 20, 1e-6  # steps in float64, and the largest relative difference
CLOSE = 0.03  # bits by which the twins may be apart after all steps in float32
LAST = 100  # steps over which the training loss is averaged
NUMPY = SimpleNamespace(
    name="NumPy",
    letters=letters,
    models=models,
    gated=gated,
    rates=rates,
    nll=sequence_nll,
    no_grad=no_grad,
    rng=numpy_generator,
    dtype=np.dtype,
    array=np.asarray,
    place=lambda net: net,
)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.lstm")
    parser.add_argument("--twin", action="store_true", help="train the twin as well")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--hidden", type=int, default=256, help="units of the LSTM")
    parser.add_argument("--embedding", type=int, default=64, help="entries of letters")
    parser.add_argument("--length", type=int, default=64, help="letters in a step")
    parser.add_argument("--columns", type=int, default=16, help="read side by side")
    parser.add_argument("--lr", type=float, default=0.008, help="falls to 0 in a line")
    parser.add_argument("--clip", type=float, default=1.0, help="longest gradient")
    parser.add_argument("--temperature", type=float, default=0.7, help="of the sample")
    parser.add_argument("--letters", type=int, default=300, help="of the sample")
    parser.add_argument("--seed", type=int, default=0)
    how = parser.parse_args(arguments)
    keep_freed_memory()
    text = data.shakespeare()
    how.alphabet = "".join(sorted(set(text)))
    both = split(letters.encode(text, how.alphabet))
    yardstick = letters.bigram_bits(*both, len(how.alphabet))
    state = network(NUMPY, how, numpy_generator(how.seed), "float32").state_dict()
    print(
        f"shakespeare: {len(both[0]):,} letters to learn from, {len(both[1]):,} for "
        f"validation, {len(how.alphabet)} kinds\n{how.steps:,} steps of {how.length} "
        f"letters in {how.columns} columns, {how.hidden} units, lr {how.lr}, "
        f"clip {how.clip}\nbigrams: {yardstick:.3f} bits per character in validation"
    )
    net, *found = run(NUMPY, state, both, how)
    print(f"NumPy: {told(*found)} (goal {min(GOAL, yardstick):.2f} in validation)")
    reached = found[1] < min(GOAL, yardstick)
    if how.twin:
        reached &= beside(state, both, how, *found[:2])
    print(f"NumPy writes, at temperature {how.temperature}:\n")
    print(written(net, both[0], how))
    return int(not reached)


def split(text, share=0.05):
    """What comes first, and the last `share` of a text."""
    end = round((1 - share) * len(text))
    return text[:end], text[end:]


def network(side, how, rng, dtype):
    """An LSTM between vectors of letters and scores, on one of the sides."""
    options = {"rng": rng, "dtype": side.dtype(dtype)}
    lstm = side.gated.LSTM(how.embedding, how.hidden, forget_bias=1.0, **options)
    return side.models.CharRNN(lstm, len(how.alphabet), embedding=True, **options)


def train(side, net, columns, how, steps, bar=iter):
    """Nats per letter of the first `steps`, by truncated back-propagation."""
    (input, target), losses, hx = columns, [], None
    parameters = list(net.parameters())
    optimizer = side.rates.AdamInPlace(parameters, lr=how.lr)
    falling = linear_decay(np.arange(steps), how.lr, 0.0, how.steps).tolist()
    pieces = len(input) // how.length

    def per_letter(scores, target):
        return side.nll(scores, target) / how.length

    for k in bar(range(steps)):
        at, optimizer.param_groups[0]["lr"] = k % pieces, falling[k]
        piece = slice(at * how.length, (at + 1) * how.length)
        optimizer.zero_grad()
        some = input[piece], target[piece]
        hx = hx if at else None  # where the text begins again
        loss, hx = side.letters.bptt(net, per_letter, *some, how.length, hx)
        side.rates.clip_grad_norm_(parameters, how.clip)
        optimizer.step()
        losses.append(loss)
    return np.array(losses)


def validate(side, net, columns, length):
    """Bits per character of whole columns, read in pieces."""
    (input, target), total, hx = columns, 0.0, None
    with side.no_grad():
        for start in range(0, len(input), length):
            piece = slice(start, start + length)
            scores, hx = net(input[piece], hx)
            bits = side.letters.bits_per_character(scores, target[piece])
            total += bits * len(input[piece])
    return total / len(input)


def pytorch_side(device):
    """PyTorch's names for what `NUMPY` has, with arrays and networks on a device."""
    import torch

    from dlbook_lib.common.devices import device_name
    from dlbook_lib.common.rng import torch_generator
    from dlbook_lib.optimization.adaptive_rates import pytorch as rates
    from dlbook_lib.recurrent.backpropagation_through_time import (
        layers_pytorch as models,
    )
    from dlbook_lib.recurrent.backpropagation_through_time import pytorch as letters
    from dlbook_lib.recurrent.gated_units import layers_pytorch as gated

    return SimpleNamespace(
        name=f"PyTorch on {device_name(device)}",
        letters=letters,
        models=models,
        gated=gated,
        rates=rates,
        nll=letters.sequence_nll,
        no_grad=torch.no_grad,
        rng=torch_generator,
        dtype=partial(getattr, torch),
        array=partial(torch.tensor, device=device),
        place=lambda net: net.to(device),
    )


def run(side, state, both, how):
    """The network, its losses (steps,), bits in validation and seconds of training."""
    net, columns, unseen = ready(side, state, both, how, "float32")
    begin = time.perf_counter()
    losses = train(side, net, columns, how, how.steps, progress(side.name))
    seconds = time.perf_counter() - begin
    return net, losses, validate(side, net, unseen, how.length), seconds


def ready(side, state, texts, how, dtype):
    """The network with weights `state`, and columns of each of the texts."""
    net = network(side, how, side.rng(0), dtype)
    net.load_state_dict({name: side.array(w) for name, w in state.items()})
    arrays = [side.array(text) for text in texts]
    columns = [side.letters.text_columns(text, how.columns) for text in arrays]
    return side.place(net), *columns


def beside(state, both, how, losses, bits):
    """Train the twin, print how far the two are apart; whether they agree."""
    from dlbook_lib.common.devices import best_device

    first = []
    for side in NUMPY, pytorch_side("cpu"):
        net, columns = ready(side, state, both[:1], how, "float64")
        first.append(train(side, net, columns, how, COMPARED))
    apart = np.max(abs(first[0] - first[1]) / first[1])
    twin = pytorch_side(best_device())
    _, *found = run(twin, state, both, how)
    traces, gap = abs(losses - found[0]), abs(bits - found[1])
    print(
        f"{twin.name}: {told(*found)}\nfirst {COMPARED} steps in float64: losses "
        f"differ by {apart:.1e} at most, relatively (goal {AGREE:.0e})\n"
        f"all steps in float32: losses differ by {traces[:COMPARED].max():.1e} nats at "
        f"most in the first {COMPARED}, by {traces.max():.1e} in all {len(traces):,}; "
        f"validation by {gap:.4f} bits (goal {CLOSE})"
    )
    return bool(apart < AGREE and gap < CLOSE)


def told(losses, bits, seconds):
    """What a side has reached, in words."""
    last = losses[-LAST:] / np.log(2)
    return (
        f"{last.mean():.3f} bits per character in training (last {len(last)} steps), "
        f"{bits:.3f} in validation, after {seconds:.1f} s of training, "
        f"{1e3 * seconds / len(losses):.0f} ms a step"
    )


def written(net, text, how):
    """How the network goes on from the end of a text, in letters of its own."""
    options = how.letters, how.temperature
    rng = numpy_generator(how.seed)
    found = letters.sample(net, text[-how.length :], *options, rng=rng)
    return letters.decode(found, how.alphabet)


if __name__ == "__main__":
    sys.exit(main())
