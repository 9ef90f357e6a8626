"""Gated units in NumPy: gradients, naive formulas, what gates do, facts, edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import Tensor, register, tensor
from dlbook_lib.recurrent.gated_units import scratch
from dlbook_lib.recurrent.gated_units.layers import (
    GRU,
    LSTM,
    UGRNN,
    GRUCell,
    LSTMCell,
    UGRNNCell,
    param_ratio,
    set_forget_bias,
)
from dlbook_lib.recurrent.gated_units.scratch import (
    direct_path,
    gate,
    gru,
    gru_cell,
    gru_gates,
    lstm,
    lstm_backward,
    lstm_cell,
    lstm_gates,
    over_time,
    quote_tracker,
    track_quotes,
    ugrnn,
    ugrnn_cell,
)
from dlbook_lib.recurrent.unfolding.layers import RNNCell


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


def cases(rng, batch=(3,), d=4, h=2, bias=True, dtype="f8"):
    """Every cell with all its options: names, arguments, options."""

    def draw(*shape):
        return rng.normal(size=shape).astype(dtype)

    def weights(gates):
        biases = [draw(gates * h) if bias else None for _ in range(2)]
        return draw(gates * h, d), draw(gates * h, h), *biases

    x, state, pair = draw(*batch, d), draw(*batch, h), draw(2, *batch, h)
    yield "gate", (x, state, *weights(1)), ()
    yield "ugrnn_cell", (x, state, *weights(2)), ()
    for reset in ("after", "before"):
        yield "gru_cell", (x, state, *weights(3)), (reset,)
    for forget in (True, False):
        blocks = 4 if forget else 3
        for peephole in (None, draw(blocks - 1, h)):
            yield "lstm_cell", (x, pair, *weights(blocks), peephole), (forget,)


def sequences(rng, steps=3, batch=(2,), **options):
    """The same along a sequence."""
    for name, (x, *args), more in cases(rng, batch, **options):
        if name != "gate":
            x = rng.normal(size=(steps, *x.shape)).astype(x.dtype)
            yield name.removesuffix("_cell"), (x, *args), more


def everything(*args, **options):
    yield from cases(*args, **options)
    yield from sequences(*args, **options)


def complex_steps_agree(name, args, more, seed=5):
    rng = numpy_generator(seed)
    f = getattr(scratch, name)
    dy = rng.normal(size=f(*args, *more).shape)
    found = getattr(scratch, f"{name}_backward")(dy, *args, *more)
    for i, (x, dx) in enumerate(zip(args, found, strict=False)):
        if x is None:
            assert dx is None
            continue
        along = rng.normal(size=x.shape)
        moved = f(*args[:i], x + 1e-30j * along, *args[i + 1 :], *more)
        assert dx.shape == x.shape
        slope = (dy * moved).imag.sum() / 1e-30
        assert abs((dx * along).sum() - slope) < 1e-10 * (1 + abs(slope)), (name, i)


@pytest.mark.parametrize("place", range(8))
@given(
    st.sampled_from([(), (1,), (3,)]),
    st.integers(1, 4),
    st.integers(1, 4),
    st.booleans(),
    st.integers(0, 99),
)
def test_gradients_of_a_step_are_those_of_a_complex_step(
    place, batch, d, h, bias, seed
):
    every = list(cases(numpy_generator(seed), batch, d, h, bias))
    complex_steps_agree(*every[place])


@pytest.mark.parametrize("place", range(7))
@pytest.mark.parametrize(("steps", "bias"), [(1, True), (4, True), (3, False)])
def test_gradients_through_time_are_those_of_a_complex_step(place, steps, bias):
    every = list(sequences(numpy_generator(steps), steps, bias=bias))
    complex_steps_agree(*every[place])


def test_on_the_engine_the_gradients_are_the_same():
    for name, args, more in everything(numpy_generator(0)):
        f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
        tensors = [x if x is None else tensor(x, requires_grad=True) for x in args]
        y = register(f, f_backward)(*tensors, *more)
        dy = numpy_generator(1).normal(size=y.shape)
        y.backward(dy)
        found = f_backward(dy, *args, *more)
        for t, g in zip(tensors, found, strict=False):
            if t is not None:
                np.testing.assert_array_equal(t.grad.data, g)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_the_ugrnn_is_its_formula_unit_by_unit():
    _, (x, h, w_ih, w_hh, b_ih, b_hh), _ = list(cases(numpy_generator(0)))[1]
    got, hidden = ugrnn_cell(x, h, w_ih, w_hh, b_ih, b_hh), h.shape[1]
    for n in range(len(x)):
        for k in range(hidden):
            rows = k, hidden + k
            a, b = (w_ih[r] @ x[n] + w_hh[r] @ h[n] + b_ih[r] + b_hh[r] for r in rows)
            keep = sigmoid(a)
            wanted = keep * h[n, k] + (1 - keep) * np.tanh(b)
            assert abs(got[n, k] - wanted) < 1e-12


def test_the_gru_of_the_paper_is_its_formula():
    _, (x, h, w_ih, w_hh, *_), _ = list(cases(numpy_generator(0)))[3]
    (a, b, c), (p, q, s) = np.split(w_ih, 3), np.split(w_hh, 3)
    reset, update = sigmoid(x @ a.T + h @ p.T), sigmoid(x @ b.T + h @ q.T)
    candidate = np.tanh(x @ c.T + (reset * h) @ s.T)
    wanted = update * h + (1 - update) * candidate
    np.testing.assert_allclose(gru_cell(x, h, w_ih, w_hh, reset="before"), wanted)
    r, u, n = gru_gates(x, h, w_ih, w_hh, reset="before")
    for found, expected in ((r, reset), (u, update), (n, candidate)):
        np.testing.assert_allclose(found, expected)


def test_the_places_of_the_reset_gate_agree_for_a_diagonal_weight_only():
    _, (x, h, w_ih, w_hh, *_), _ = list(cases(numpy_generator(0)))[2]
    both = [gru_cell(x, h, w_ih, w_hh, reset=r) for r in ("after", "before")]
    assert abs(both[0] - both[1]).max() > 0.01
    w_hh[4:] = np.diag(np.diag(w_hh[4:]))
    both = [gru_cell(x, h, w_ih, w_hh, reset=r) for r in ("after", "before")]
    np.testing.assert_allclose(*both, atol=1e-14)


def test_the_lstm_with_peepholes_is_its_formula():
    args = next(
        a for n, a, _ in cases(numpy_generator(0)) if a[-1] is not None and n[0] == "l"
    )
    x, (h, c), w_ih, w_hh, b_ih, b_hh, (look_i, look_f, look_o) = args
    i, f, g, o = np.split(x @ w_ih.T + h @ w_hh.T + b_ih + b_hh, 4, axis=1)
    memory = sigmoid(f + look_f * c) * c + sigmoid(i + look_i * c) * np.tanh(g)
    shown = sigmoid(o + look_o * memory) * np.tanh(memory)
    np.testing.assert_allclose(lstm_cell(*args), [shown, memory])
    gates = lstm_gates(*args)
    np.testing.assert_allclose(gates[1], sigmoid(f + look_f * c))
    np.testing.assert_allclose(gates[-1], memory)


def test_an_lstm_without_forget_gate_is_one_whose_gate_is_open():
    rng = numpy_generator(0)
    _, (x, pair, w_ih, w_hh, b_ih, b_hh, look), _ = list(cases(rng))[-1]
    without = lstm_cell(x, pair, w_ih, w_hh, b_ih, b_hh, look, False)

    def widened(w, value):
        return np.concatenate([w[:2], np.full_like(w[:2], value), w[2:]])

    weights = widened(w_ih, 0), widened(w_hh, 0), widened(b_ih, 1e4), widened(b_hh, 0)
    look = np.stack([look[0], 0 * look[0], look[1]])
    np.testing.assert_allclose(without, lstm_cell(x, pair, *weights, look))


def test_a_sequence_is_its_steps():
    for name, (x, state, *args), more in sequences(numpy_generator(0)):
        states = getattr(scratch, name)(x, state, *args, *more)
        cell = getattr(scratch, f"{name}_cell")
        for t, found in enumerate(states):
            state = cell(x[t], state, *args, *more)
            np.testing.assert_array_equal(found, state)
        again = over_time(cell, x[1:], states[0], *args, *more)
        np.testing.assert_array_equal(again, states[1:])


# ---------------------------------------------------------------- what gates are for


def test_open_and_closed_gates_keep_or_take_the_state():
    rng = numpy_generator(0)
    x, h, candidate = (rng.normal(size=s) for s in ((5, 1), (5, 2), (2, 1)))
    for keep in (1e4, -1e4):
        u, none = np.full((2,), keep), np.zeros(2)
        w = np.concatenate([0 * candidate, candidate])
        got = ugrnn_cell(x, h, w, np.zeros((4, 2)), np.append(u, none), np.zeros(4))
        wanted = h if keep > 0 else np.tanh(x @ candidate.T)
        np.testing.assert_allclose(got, wanted)
        w, b = np.concatenate([0 * candidate, w]), np.concatenate([none, u, none])
        for reset in ("after", "before"):
            got = gru_cell(x, h, w, np.zeros((6, 2)), b, np.zeros(6), reset)
            np.testing.assert_allclose(got, wanted)


def test_a_ugrnn_holds_a_bit_for_500_steps_and_a_fixed_leak_does_not():
    rng = numpy_generator(0)
    x = np.zeros((500, 1, 2))
    x[0], x[1:, 0, 1] = [[1.0, 1.0]], rng.normal(size=499)  # a bit to write, then noise
    w_ih = np.array([[-60.0, 0.0], [3.0, 1.0]])  # the first input opens the gate
    b = np.array([30.0, 0.0])
    held = ugrnn(x, np.zeros((1, 1)), w_ih, np.zeros((2, 1)), b, 0 * b)
    assert abs(held[-1, 0, 0] - np.tanh(4)) < 1e-9
    leak = ugrnn(
        x, np.zeros((1, 1)), 0 * w_ih + [[0], [1]], np.zeros((2, 1)), b / 15, b * 0
    )
    kept = direct_path(sigmoid(np.full(500, 2.0)))[1]
    assert kept < 1e-20
    assert abs(leak[-1, 0, 0]) < 0.99


def test_a_gate_is_a_leak_that_depends_on_input_and_state():
    x, h = np.array([[0.0], [4.0]]), np.array([[1.0], [1.0]])
    fixed = gate(x, h, np.zeros((1, 1)), np.zeros((1, 1)), np.ones(1), np.ones(1))
    np.testing.assert_allclose(fixed, sigmoid(2))
    chosen = gate(x, h, np.ones((1, 1)), np.full((1, 1), -2.0))
    np.testing.assert_allclose(chosen, sigmoid(np.array([[-2.0], [2.0]])))


def test_the_memorys_gradient_is_the_product_of_forget_gates():
    rng = numpy_generator(0)
    _, (x, pair, w_ih, _, b_ih, b_hh, _), _ = list(sequences(rng, 6))[3]
    w_hh = np.zeros((8, 2))  # nothing but the memory leads from step to step
    args = x, pair, w_ih, w_hh, b_ih, b_hh
    states = lstm(*args)
    before = [pair, *states[:-1]]
    f = np.array([lstm_gates(x[t], before[t], *args[2:])[1] for t in range(len(x))])
    dy = np.zeros_like(states)
    dy[-1, 1] = 1
    dstate = lstm_backward(dy, *args)[1]
    np.testing.assert_allclose(dstate[1], direct_path(f)[0], rtol=1e-12)
    assert not dstate[0].any()


def test_at_f_equal_to_one_the_gradient_does_not_decay():
    x, pair, none = np.zeros((60, 1, 1)), np.zeros((2, 1, 1)), np.zeros((4, 1))
    norms = []
    for bias in (1e4, 1.0, 0.0):
        b = np.array([0, bias, 0, 0])
        dy = np.zeros((60, 2, 1, 1))
        dy[-1, 1] = 1
        norms.append(lstm_backward(dy, x, pair, none, none, b, 0 * b)[1][1, 0, 0])
    np.testing.assert_allclose(norms, [1, sigmoid(1.0) ** 60, 0.5**60], rtol=1e-9)


def test_the_direct_path_has_one_entry_more_and_ends_at_one():
    f = numpy_generator(0).uniform(size=(4, 3, 2))
    path = direct_path(f)
    assert path.shape == (5, 3, 2)
    np.testing.assert_array_equal(path[-1], 1)
    np.testing.assert_allclose(path[1], f[1] * f[2] * f[3])
    assert direct_path(np.ones((0, 2))).shape == (1, 2)


def test_the_forget_bias_is_set_in_every_layer_and_nowhere_else():
    rng = numpy_generator(0)
    net = LSTM(3, 2, 2, bidirectional=True, rng=rng)
    old = {name: w.copy() for name, w in net.state_dict().items()}
    set_forget_bias(net)
    for name, w in net.state_dict().items():
        if name.startswith("bias"):
            np.testing.assert_array_equal(w[2:4], 1 if "ih" in name else 0)
            w = np.concatenate([w[:2], old[name][2:4], w[4:]])
        np.testing.assert_array_equal(w, old[name])
    for module in (LSTM, LSTMCell):
        state = module(3, 2, forget_bias=0.5, rng=rng).state_dict()
        ih, hh = (
            next(w for n, w in state.items() if f"bias_{k}" in n) for k in ("ih", "hh")
        )
        np.testing.assert_array_equal(ih[2:4] + hh[2:4], 0.5)


def test_a_tracker_set_by_hand_knows_all_quotations():
    rng = numpy_generator(0)
    for _ in range(4):
        text = "".join(rng.choice(list('ab ."'), size=100))
        inside, wanted = False, []
        for letter in text:
            inside ^= letter == '"'
            wanted.append(inside)
        assert track_quotes(text).tolist() == wanted
    long = 'a "' + "b" * 500 + '" c'
    assert track_quotes(long).sum() == 501
    assert quote_tracker(7.0)["w_ih"][0, 0] == -14


@pytest.mark.parametrize("bias", [True, False])
def test_parameters_stand_in_the_ratio_1_2_3_4(bias):
    cells = [
        cell(5, 7, bias, rng=numpy_generator(0))
        for cell in (RNNCell, UGRNNCell, GRUCell, LSTMCell)
    ]
    assert param_ratio(*cells) == [1, 2, 3, 4]


# ------------------------------------------------------------------- modules and edges


def test_cell_modules_are_their_functions_and_train():
    rng = numpy_generator(0)
    x, h = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    kinds = [
        (UGRNNCell, ugrnn_cell, {}, ()),
        (GRUCell, gru_cell, {"reset": "before"}, ("before",)),
        (LSTMCell, lstm_cell, {}, ()),
        (LSTMCell, lstm_cell, {"peephole": True, "forget": False}, (None, False)),
    ]
    for kind, f, options, more in kinds:
        module = kind(3, 2, rng=rng, **options)
        weights = [w.data for w in module.weights()]
        if options.get("peephole"):
            more = module.peephole.data, False
        state = (h, h / 2) if kind is LSTMCell else h
        wanted = f(x, state, *weights, *more)
        found = module(Tensor(x), state)
        pair = found if kind is LSTMCell else [found]
        wanted = wanted if kind is LSTMCell else [wanted]
        for a, b in zip(pair, wanted, strict=True):
            np.testing.assert_array_equal(a.data, b)
        sum(p.sum() for p in pair).backward()
        assert all(p.grad.data.any() for p in module.parameters())
        bound = 2**-0.5
        assert all(abs(p.data).max() <= bound for p in module.parameters())


def test_cells_begin_at_zero():
    rng, x = numpy_generator(0), np.ones((4, 3))
    for kind in (UGRNNCell, GRUCell, LSTMCell):
        cell, zero = kind(3, 2, rng=rng), np.zeros((4, 2))
        given = (zero, zero) if kind is LSTMCell else zero
        for found, wanted in zip(cell(x), cell(x, given), strict=True):
            np.testing.assert_array_equal(found.data, wanted.data)


def test_float32_stays_float32():
    for name, args, more in everything(numpy_generator(0), dtype="f4"):
        y = getattr(scratch, name)(*args, *more)
        found = getattr(scratch, f"{name}_backward")(y, *args, *more)
        kinds = {a.dtype for a in (y, *found) if a is not None}
        assert kinds == {np.dtype("f4")}, name
    rng, x = numpy_generator(0), np.ones((5, 2, 3), "f4")
    for kind in (UGRNN, GRU, LSTM):
        net = kind(3, 4, 2, bidirectional=True, dropout=0.5, rng=rng, dtype="float32")
        output, states = net(x)
        states = states if kind is LSTM else (states,)
        output.sum().backward()
        grads = [p.grad for p in net.parameters()]
        assert {a.dtype for a in (output, *states, *grads)} == {np.dtype("f4")}


def test_empty_batches():
    for name, args, more in everything(numpy_generator(0), batch=(0,)):
        y = getattr(scratch, name)(*args, *more)
        found = getattr(scratch, f"{name}_backward")(y, *args, *more)
        for x, g in zip(args, found, strict=False):
            assert x is None or (g.shape == x.shape and not g.any())
    for kind in (UGRNN, GRU, LSTM):
        output, _ = kind(3, 4, rng=numpy_generator(0))(np.ones((5, 0, 3)))
        assert output.shape == (5, 0, 4)


def test_extreme_scores_give_finite_values():
    for name, args, more in everything(numpy_generator(0)):
        args = [
            args[0] * 1e4,
            args[1],
            *(a if a is None else a * 1e4 for a in args[2:]),
        ]
        y = getattr(scratch, name)(*args, *more)
        found = getattr(scratch, f"{name}_backward")(y, *args, *more)
        assert all(np.isfinite(a).all() for a in (y, *found) if a is not None)


def test_arrays_that_are_not_contiguous_and_lists_will_do():
    for name, (x, *args), more in everything(numpy_generator(0)):
        f, f_backward = getattr(scratch, name), getattr(scratch, f"{name}_backward")
        y = f(x, *args, *more)
        wide = np.repeat(x, 2, axis=-1)[..., ::2]
        turned = [np.asarray(a.T, order="C").T if a is not None else a for a in args]
        np.testing.assert_allclose(f(wide, *turned, *more), y, rtol=1e-13)
        lists = [a if a is None else a.tolist() for a in (x, *args)]
        np.testing.assert_array_equal(f(*lists, *more), y)
        for a, b in zip(
            f_backward(y.tolist(), *lists, *more),
            f_backward(y, x, *args, *more),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)


def test_a_gru_resets_the_past_and_an_update_gate_replaces_it():
    w, h = np.zeros((3, 1)), np.array([[0.7]])
    past = np.array([[0.0], [0.0], [1.0]])
    for reset, wanted in ((-1e4, 0.0), (1e4, np.tanh(0.7))):
        b = np.array([reset, -1e4, 0.0])
        found = gru([[[1.0]]], h, w, past, b, 0 * b)[0, 0, 0]
        assert abs(found - wanted) < 1e-12
