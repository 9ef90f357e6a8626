"""The letter model of the benchmarks on a tiny text; nothing depends on a clock."""

from argparse import Namespace

import numpy as np
import pytest

from benchmarks.training import lstm
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.optimization.adaptive_rates import pytorch as twin_rates
from dlbook_lib.recurrent.backpropagation_through_time.scratch import encode

TEXT = "the cat sat on the mat\n" * 40
SMALL = {"hidden": 16, "embedding": 8, "length": 8, "columns": 4, "lr": 0.03}
ARGUMENTS = [f"--{name}={value}" for name, value in SMALL.items()] + ["--letters=60"]
pytestmark = pytest.mark.slow


@pytest.fixture
def how():
    alphabet = "".join(sorted(set(TEXT)))
    return Namespace(**SMALL, alphabet=alphabet, clip=1.0, steps=60, seed=0)


def trained(side, how, steps, dtype="float64"):
    """A network of one side after some steps, its losses, and the columns it read."""
    rng, text = numpy_generator(how.seed), encode(TEXT, how.alphabet)
    state = lstm.network(lstm.NUMPY, how, rng, "float32").state_dict()
    net, columns = lstm.ready(side, state, [text], how, dtype)
    return net, lstm.train(side, net, columns, how, steps), columns


def test_the_twins_take_the_same_steps_also_when_the_text_begins_again(how):
    ours, theirs = (
        trained(side, how, 40)[1] for side in (lstm.NUMPY, lstm.pytorch_side("cpu"))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
    assert ours[-1] < ours[0] / 2


def test_a_few_steps_are_the_first_of_many(how):
    few, many = (trained(lstm.NUMPY, how, steps)[1] for steps in (5, 10))
    np.testing.assert_array_equal(few, many[:5])


def test_a_state_goes_on_from_step_to_step_and_losses_are_nats_per_letter(how):
    how.lr = 1e-12  # nothing is learned, so training is reading
    net, losses, (input, target) = trained(lstm.NUMPY, how, 28)
    read = input[: 28 * how.length], target[: 28 * how.length]
    bits = lstm.validate(lstm.NUMPY, net, read, how.length)
    np.testing.assert_allclose(losses.mean() / np.log(2), bits, rtol=1e-8)
    again, losses, _ = trained(lstm.NUMPY, how, 29)  # 229 letters in a column
    np.testing.assert_allclose(losses[28], losses[0], rtol=1e-8)
    once = trained(lstm.NUMPY, how, 1)[0]  # the same step, so the same gradient
    for p, q in zip(again.parameters(), once.parameters(), strict=True):
        np.testing.assert_allclose(p.grad.data, q.grad.data, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("twin", [False, True])
def test_bits_do_not_depend_on_the_pieces_that_are_read(twin, how):
    side = lstm.pytorch_side("cpu") if twin else lstm.NUMPY
    net, _, columns = trained(side, how, 5)
    found = [lstm.validate(side, net, columns, length) for length in (8, 5, 1000)]
    np.testing.assert_allclose(found, found[0], rtol=1e-12)


def test_float32_stays_float32(how):
    net = trained(lstm.NUMPY, how, 2, "float32")[0]
    assert {p.dtype.name for p in net.parameters()} == {"float32"}
    assert {p.grad.dtype.name for p in net.parameters()} == {"float32"}


def test_the_report_tells_what_both_have_reached(monkeypatch, capsys):
    monkeypatch.setattr(lstm.data, "shakespeare", lambda: TEXT)
    assert lstm.main([*ARGUMENTS, "--twin", "--steps=80"]) == 0
    said, written = capsys.readouterr().out.split("NumPy writes, at temperature 0.7:")
    assert said.startswith("shakespeare: 874 letters to learn from, 46 for validation")
    for line in ("bigrams: ", "NumPy: ", "PyTorch on CPU: ", "first 20 steps in float"):
        assert f"\n{line}" in said
    assert len(written) == 63  # 60, a blank line before them, and print's end
    assert "\nthe cat " in written


def test_a_goal_that_is_missed_is_told(monkeypatch, capsys):
    monkeypatch.setattr(lstm.data, "shakespeare", lambda: TEXT)
    assert lstm.main([*ARGUMENTS, "--steps=1"]) == 1  # bigrams know more
    assert "PyTorch" not in capsys.readouterr().out


def test_twins_that_disagree_are_seen(how, monkeypatch):
    rng, text = numpy_generator(0), encode(TEXT, how.alphabet)
    how.steps, how.clip = 5, 0.1
    state = lstm.network(lstm.NUMPY, how, rng, "float32").state_dict()
    _, losses, bits, _ = lstm.run(lstm.NUMPY, state, (text, text), how)
    assert lstm.beside(state, (text, text), how, losses, bits)
    assert not lstm.beside(state, (text, text), how, losses, bits + lstm.CLOSE)
    monkeypatch.setattr(lstm, "CLOSE", np.inf)
    monkeypatch.setattr(twin_rates, "clip_grad_norm_", lambda *_: None)
    assert not lstm.beside(state, (text, text), how, losses, bits)
