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
from types import SimpleNamespace

import numpy as np

from benchmarks.training.lenet import progress
from dlbook_lib.common import data
from dlbook_lib.common.memory import keep_freed_memory
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import no_grad, register
from dlbook_lib.optimization.adaptive_rates import scratch as rates
from dlbook_lib.optimization.sgd.scratch import linear_decay
from dlbook_lib.recurrent.backpropagation_through_time import scratch as letters
from dlbook_lib.recurrent.gated_units import scratch as gated

GOAL = 2.2  # bits per character in validation
COMPARED, AGREE = 20, 1e-6  # steps in float64, and the largest relative difference
CLOSE = 0.03  # bits by which the twins may be apart after all steps in float32
LAST = 100  # steps whose mean is the training loss
NUMPY = SimpleNamespace(
    letters=letters,
    gated=gated,
    rates=rates,
    no_grad=no_grad,
    nll=register(letters.sequence_nll, letters.sequence_nll_backward),
)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.lstm")
    parser.add_argument("--twin", action="store_true", help="train the twin as well")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--hidden", type=int, default=256, help="units of the LSTM")
    parser.add_argument("--length", type=int, default=64, help="letters in a step")
    parser.add_argument("--columns", type=int, default=32, help="read side by side")
    parser.add_argument("--lr", type=float, default=0.004, help="falls to 0 in a line")
    parser.add_argument("--clip", type=float, default=1.0, help="longest gradient")
    parser.add_argument("--temperature", type=float, default=0.7, help="of the sample")
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
    net, *found = by_numpy(state, both, how)
    print(f"NumPy: {told(*found)} (goal {min(GOAL, yardstick):.2f})")
    reached = found[1] <= min(GOAL, yardstick)
    if how.twin:
        reached &= beside(state, both, how, *found[:2])
    print(f"\nNumPy's at temperature {how.temperature}:\n\n{written(net, how)}")
    return int(not reached)


def split(text, share=0.05):
    """What comes first, and the last `share` of a text."""
    end = round((1 - share) * len(text))
    return text[:end], text[end:]


def network(side, how, rng, dtype):
    """An LSTM between one-hot letters and scores, on one of the sides."""
    size, options = len(how.alphabet), {"rng": rng, "dtype": dtype}
    lstm = side.gated.LSTM(size, how.hidden, forget_bias=1.0, **options)
    return side.letters.CharRNN(lstm, size, **options)


def train(side, net, columns, how, bar):
    """Nats per letter of each step, by truncated back-propagation through time."""
    (input, target), losses, hx = columns, [], None
    parameters = list(net.parameters())
    optimizer = side.rates.AdamInPlace(parameters, lr=how.lr)
    falling = linear_decay(np.arange(how.steps), how.lr, 0.0, how.steps).tolist()
    pieces = len(input) // how.length

    def per_letter(scores, target):
        return side.nll(scores, target) / how.length

    for k in bar(range(how.steps)):
        at, optimizer.param_groups[0]["lr"] = k % pieces, falling[k]
        piece = slice(at * how.length, (at + 1) * how.length)
        optimizer.zero_grad()
        some = input[piece], target[piece]
        loss, hx = side.letters.bptt(
            net, per_letter, *some, how.length, hx if at else None
        )
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


def by_numpy(state, both, how, dtype="float32"):
    """The network, its losses (steps,), bits in validation and seconds of training."""
    net = network(NUMPY, how, numpy_generator(0), dtype)
    net.load_state_dict(state)
    columns = [letters.text_columns(text, how.columns) for text in both]
    begin = time.perf_counter()
    losses = train(NUMPY, net, columns[0], how, progress(f"NumPy, {dtype}"))
    seconds = time.perf_counter() - begin
    return net, losses, validate(NUMPY, net, columns[1], how.length), seconds


def by_pytorch(state, both, how, device, dtype="float32"):
    """The same by the twin."""
    import torch

    from dlbook_lib.common.rng import torch_generator
    from dlbook_lib.optimization.adaptive_rates import pytorch as rates
    from dlbook_lib.recurrent.backpropagation_through_time import pytorch as letters
    from dlbook_lib.recurrent.gated_units import pytorch as gated

    side = SimpleNamespace(
        letters=letters,
        gated=gated,
        rates=rates,
        no_grad=torch.no_grad,
        nll=letters.sequence_nll,
    )
    net = network(side, how, torch_generator(0), dtype)
    net.load_state_dict({k: torch.tensor(v) for k, v in state.items()})
    net.to(device)
    texts = [torch.tensor(text, device=device) for text in both]
    columns = [letters.text_columns(text, how.columns) for text in texts]
    begin = time.perf_counter()
    losses = train(side, net, columns[0], how, progress(f"PyTorch, {dtype}"))
    seconds = time.perf_counter() - begin
    return net, losses, validate(side, net, columns[1], how.length), seconds


def beside(state, both, how, losses, bits):
    """Train the twin, print how far the two are apart; whether they agree."""
    from dlbook_lib.common.devices import best_device, device_name

    some = argparse.Namespace(**vars(how) | {"steps": min(COMPARED, how.steps)})
    first = both[0], both[1][: how.columns + 1]
    ours = by_numpy(state, first, some, "float64")[1]
    theirs = by_pytorch(state, first, some, "cpu", "float64")[1]
    apart = np.max(abs(ours - theirs) / theirs)
    device = best_device()
    _, *found = by_pytorch(state, both, how, device)
    traces, gap = abs(losses - found[0]), abs(bits - found[1])
    print(
        f"PyTorch on {device_name(device)}: {told(*found)}\n"
        f"first {len(ours)} steps in float64: losses differ by {apart:.1e} at most, "
        f"relatively (goal {AGREE:.0e})\nall steps in float32: losses differ by "
        f"{traces[:COMPARED].max():.1e} nats at most in the first {COMPARED}, by "
        f"{traces.max():.1e} in all {len(traces):,}; validation by {gap:.4f} bits "
        f"(goal {CLOSE})"
    )
    return bool(apart < AGREE and gap < CLOSE)


def told(losses, bits, seconds):
    """What a side has reached, in words."""
    last = losses[-LAST:].mean() / np.log(2)
    return (
        f"{last:.3f} bits per character in training (mean of the last {LAST} steps), "
        f"{bits:.3f} in validation, after {seconds:.1f} s of training, "
        f"{1e3 * seconds / len(losses):.0f} ms a step"
    )


def written(net, how, count=300):
    """A sample of the network's own, from the start of a line on."""
    start, rng = letters.encode("\n", how.alphabet), numpy_generator(how.seed)
    sample = letters.sample(net, start, count, how.temperature, rng=rng)
    return letters.decode(sample, how.alphabet)


if __name__ == "__main__":
    sys.exit(main())
