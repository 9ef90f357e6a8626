"""Powers, lags, leaks, clocks, skips: torch, the twin, the formula, numeric slopes."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator, torch_generator
from dlbook_lib.feedforward.autodiff.engine import register, tensor
from dlbook_lib.optimization.loss_landscapes.scratch import (
    hessian_product,
    power_from_eigenvalues,
    power_norms,
)
from dlbook_lib.recurrent.backpropagation_through_time.layers import RNN
from dlbook_lib.recurrent.backpropagation_through_time.scratch import (
    rnn_inputs_in_one_product,
)
from dlbook_lib.recurrent.long_term_dependencies import layers_pytorch
from dlbook_lib.recurrent.long_term_dependencies import pytorch as twin
from dlbook_lib.recurrent.long_term_dependencies.layers import (
    ClockworkRNN,
    LeakyRNN,
    SkipRNN,
)
from dlbook_lib.recurrent.long_term_dependencies.scratch import (
    alpha_of_half_life,
    clock_alpha,
    clock_links,
    grad_norm_by_lag,
    half_life,
    leaky_inputs_in_one_product,
    leaky_rnn,
    leaky_rnn_backward,
    linear_recurrence,
    linear_recurrence_by_eigenvalues,
    log_slope,
    proposal,
    proposal_slope,
    pull_leaky,
    run_leaky,
    skip_rnn,
    skip_rnn_backward,
    state_gradients,
    time_constant,
)
from dlbook_lib.recurrent.unfolding.layers import RNNCell
from dlbook_lib.recurrent.unfolding.packing import pack_padded_sequence
from dlbook_lib.recurrent.unfolding.scratch import gradient_by_lag, unroll

CLOSE = {"f8": {"rtol": 0, "atol": 1e-10}, "f4": {"rtol": 1e-4, "atol": 1e-4}}
DTYPES = st.sampled_from(["f8", "f4"])
KINDS = st.sampled_from(["tanh", "relu", "linear"])


def same(ours, theirs, dtype="f8"):
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            a, b = np.asarray(a), b.detach().numpy()
            assert a.shape == b.shape
            assert a.dtype == dtype
            scale = max(1, abs(b).max(initial=0))
            np.testing.assert_allclose(a / scale, b / scale, **CLOSE[dtype])


def to_torch(args):
    return [
        torch.tensor(a, requires_grad=a.dtype.kind == "f")
        if isinstance(a, np.ndarray)
        else a
        for a in args
    ]


def against_autograd(f, f_backward, theirs, args, count, dtype):
    """Value and first `count` gradients: twin, pair, registered pair."""
    targs = to_torch(args)
    y, ty = f(*args), theirs(*targs)
    same([y], [ty], dtype)
    dy = numpy_generator(9).normal(size=y.shape).astype(dtype)
    ty.backward(torch.tensor(dy))
    wanted = [getattr(a, "grad", None) for a in targs[:count]]
    same(f_backward(dy, *args), wanted, dtype)
    ours = [
        tensor(a, requires_grad=True) if i < count and a is not None else a
        for i, a in enumerate(args)
    ]
    register(f, f_backward)(*ours).backward(dy)
    same([None if a is None else a.grad.data for a in ours[:count]], wanted, dtype)


# ------------------------------------------------------------------ why distance hurts


@given(st.integers(1, 5), st.integers(0, 6), st.booleans(), st.integers(0, 99))
def test_powers_by_eigenvalues_are_those_of_the_loop(h, steps, batched, seed):
    rng = numpy_generator(seed)
    w, hx = rng.normal(size=(h, h)), rng.normal(size=(3, h) if batched else h)
    states = linear_recurrence(hx, w, steps)
    same([states], [twin.linear_recurrence(*to_torch([hx, w]), steps)])
    np.testing.assert_allclose(states[-1], hx @ power_from_eigenvalues(w, steps).T)
    w = w + w.T
    states = linear_recurrence_by_eigenvalues(hx, w, steps)
    loop = linear_recurrence(hx, w, steps)
    np.testing.assert_allclose(states, loop, rtol=1e-12, atol=1e-12 * abs(loop).max())
    theirs = twin.linear_recurrence_by_eigenvalues(*to_torch([hx, w]), steps)
    np.testing.assert_allclose(states, theirs.detach(), atol=1e-11 * abs(loop).max())


def test_forms_with_a_misplaced_transposition_miss():
    rng = numpy_generator(0)
    w = rng.normal(size=(5, 5))
    w, hx = (w + w.T) / 4, rng.normal(size=5)
    values, q = np.linalg.eigh(w)
    right = linear_recurrence(hx, w, 6)[-1]
    scale = abs(right).max()
    assert abs(q @ np.diag(values**6) @ q.T @ hx - right).max() < 1e-12 * scale
    assert abs(q.T @ np.diag(values**6) @ q @ hx - right).max() > 0.1 * scale
    assert abs(q.T @ np.diag(values).T @ q @ hx - right).max() > 0.1 * scale
    w = rng.normal(size=(4, 4))  # not symmetric: another's W is our W transposed
    other = np.linalg.matrix_power(w, 3)
    hx = hx[:4]
    np.testing.assert_allclose(linear_recurrence(hx, w, 3)[-1], other @ hx)
    assert abs(other.T @ hx - other @ hx).max() > 0.1


def test_float32_stays_float32_in_powers():
    w = np.eye(2, dtype="f4")
    for f in (linear_recurrence, linear_recurrence_by_eigenvalues):
        assert f(np.ones(2, "f4"), w, 3).dtype == "f4"


@given(st.lists(st.integers(1, 4), min_size=3, max_size=3), DTYPES, st.booleans())
def test_gradients_of_states_are_those_of_autograd(sizes, dtype, relu):
    t, n, h = sizes
    kind, rng = ("relu" if relu else "tanh"), numpy_generator(t)
    w, x = rng.normal(size=(h, h)).astype(dtype), rng.normal(size=(t, n, 2))
    x, dy = x.astype(dtype), rng.normal(size=(t, n, h)).astype(dtype)
    cell = RNNCell(2, h, False, kind, rng=rng)
    states = unroll(cell, x)
    output = np.stack([s.data for s in states]).astype(dtype)
    args = dy, output, w, kind
    same([state_gradients(*args)], [twin.state_gradients(*to_torch(args))], dtype)
    hidden = torch.zeros(n, h, dtype=torch.float64)
    found, w_ih = [], torch.tensor(cell.weight_ih.data)
    w = torch.tensor(cell.weight_hh.data)
    for step in torch.tensor(x, dtype=torch.float64):
        a = step @ w_ih.T + hidden @ w.T
        hidden = (a.relu() if relu else a.tanh()).requires_grad_()
        hidden.retain_grad()
        found.append(hidden)
    (torch.stack(found) * torch.tensor(dy, dtype=torch.float64)).sum().backward()
    args = dy.astype(float), np.stack([f.detach() for f in found]), w.numpy(), kind
    same([state_gradients(*args)], [torch.stack([f.grad for f in found])])


def test_what_is_left_of_a_tanh_gradient_is_a_straight_line_below_the_bound():
    rng = numpy_generator(0)
    net = RNN(2, 16, rng=rng)
    net.weight_hh_l0.data[:] = 0.7 * np.linalg.qr(rng.normal(size=(16, 16)))[0]
    x = 0.1 * rng.normal(size=(60, 8, 2))
    norms = grad_norm_by_lag(net, x)
    assert norms[0] > norms[20] > norms[40] > 0
    bound = power_norms(net.weight_hh_l0.data, 59)
    w_ih = np.linalg.norm(net.weight_ih_l0.data, 2) * 4  # of ones (16,)
    assert (norms <= bound * w_ih * (1 + 1e-9)).all()
    line = log_slope(norms) * np.arange(60)
    bent = np.log(norms) - line
    assert bent.std() < 0.05 * abs(line[-1])
    assert np.log(0.6) < log_slope(norms) < np.log(0.7)
    theirs = torch.nn.RNN(2, 16, dtype=torch.float64)
    theirs.load_state_dict({k: torch.tensor(v) for k, v in net.state_dict().items()})
    same([norms], [twin.grad_norm_by_lag(theirs, torch.tensor(x))])
    assert log_slope(norms) == pytest.approx(twin.log_slope(torch.tensor(norms)), 1e-10)
    one = x[:, :1]
    matrices = net.weight_ih_l0.data, net.weight_hh_l0.data
    whole = gradient_by_lag(net(one)[0].data[:, 0], *matrices)
    rows = [grad_norm_by_lag(net, one, e[None]) for e in np.eye(16)]
    np.testing.assert_allclose(np.sqrt((np.array(rows) ** 2).sum(axis=0)), whole)


def test_a_slope_leaves_out_what_is_0_and_needs_two_numbers():
    norms = np.where(np.arange(9) % 3 == 0, 2.0 ** np.arange(9), 0)
    assert log_slope(norms) == pytest.approx(np.log(2))
    with pytest.raises(ValueError, match="log_slope: norms"):
        log_slope(np.array([1.0, 0.0]))


def test_curvature_of_a_net_of_two_steps():
    cell, x = RNNCell(1, 2, rng=numpy_generator(0)), np.ones((2, 1, 1))
    params = list(cell.parameters())
    product = hessian_product((unroll(cell, x)[-1] ** 2).sum(), params)
    v = numpy_generator(1).normal(size=sum(p.numel() for p in params))
    ends = np.cumsum([p.numel() for p in params])[:-1]
    slopes = []
    for step in (1e-5, -1e-5):
        moved = RNNCell(1, 2, rng=numpy_generator(0))
        for p, d in zip(moved.parameters(), np.split(v, ends), strict=True):
            p.data += step * d.reshape(p.shape)
        (unroll(moved, x)[-1] ** 2).sum().backward()
        slopes.append(np.concatenate([p.grad.data.ravel() for p in moved.parameters()]))
    np.testing.assert_allclose(product(v), (slopes[0] - slopes[1]) / 2e-5, atol=1e-8)


# ------------------------------------------------------------------------ leaky units


def test_half_lives_and_time_constants():
    alpha = np.array([0.1, 0.5, 0.9, 0.99])
    np.testing.assert_allclose(alpha ** half_life(alpha), 0.5)
    np.testing.assert_allclose(alpha ** time_constant(alpha), np.exp(-1))
    assert abs(time_constant(np.array(0.999)) * 0.001 - 1) < 1e-3  # 1 / (1 - alpha)
    np.testing.assert_allclose(alpha_of_half_life(half_life(alpha)), alpha)
    ends = np.array([0.0, 1.0])
    np.testing.assert_array_equal(half_life(ends), [0, np.inf])
    for name in ("half_life", "time_constant", "alpha_of_half_life"):
        ours, theirs = globals()[name], getattr(twin, name)
        for dtype in ("f8", "f4"):
            x = alpha.astype(dtype)
            same([ours(x)], [theirs(torch.tensor(x))], dtype)


def test_a_signal_that_ended_fades_by_half_in_its_half_life():
    net = LeakyRNN(
        1, 1, float(alpha_of_half_life(7.0)), rng=numpy_generator(0), bias=False
    )
    net.weight_hh_l0.data[:] = 0
    h = net(np.zeros((7, 1, 1)), np.ones((1, 1, 1)))[0].data
    assert h[-1] == pytest.approx(0.5)
    net.nonlinearity = "linear"
    assert log_slope(grad_norm_by_lag(net, np.zeros((9, 1, 1)))) == pytest.approx(
        -np.log(2) / 7
    )


@st.composite
def layers(draw, extra=None):
    """Arguments of a layer: input, hx, w_ih, w_hh, biases, dtype and sizes."""
    t, d, h = (draw(st.integers(1, 5)) for _ in range(3))
    n, dtype = draw(st.integers(0, 3)), draw(DTYPES)
    rng = numpy_generator(draw(st.integers(0, 99)))
    shapes = (t, n, d), (n, h), (h, d), (h, h), (h,), (h,)
    arrays = [rng.normal(size=s).astype(dtype) for s in shapes]
    if draw(st.booleans()):
        arrays[4:] = None, None
    return *arrays, rng, dtype


@given(layers(), KINDS, st.booleans())
def test_leaky_layers_are_those_of_autograd(case, kind, each_step):
    x, hx, w_ih, w_hh, b_ih, b_hh, rng, dtype = case
    shape = (len(x), len(w_hh)) if each_step else len(w_hh)
    alpha = rng.uniform(0.1, 0.9, shape).astype(dtype)
    args = x, hx, w_ih, w_hh, alpha, b_ih, b_hh, kind
    against_autograd(leaky_rnn, leaky_rnn_backward, twin.leaky_rnn, args, 7, dtype)


@given(layers(), KINDS)
def test_leaky_layers_are_their_formula(case, kind):
    x, hx, w_ih, w_hh, b_ih, b_hh, rng, dtype = case
    alpha, h = rng.uniform(0, 1, len(w_hh)).astype(dtype), hx
    b = 0 if b_ih is None else b_ih + b_hh
    bend = {"tanh": np.tanh, "relu": lambda a: a * (a > 0), "linear": np.asarray}[kind]
    for t, y in enumerate(leaky_rnn(x, hx, w_ih, w_hh, alpha, b_ih, b_hh, kind)):
        v = bend(x[t] @ w_ih.T + h @ w_hh.T + b)
        np.testing.assert_allclose(
            proposal(x[t], h, w_ih, w_hh, b_ih, b_hh, kind), v, rtol=1e-4, atol=1e-4
        )
        h = np.stack(
            [alpha * a + (1 - alpha) * c for a, c in zip(h, v, strict=True)]
            or [np.empty_like(alpha)]
        )[: len(h)]
        np.testing.assert_allclose(y, h, rtol=1e-3, atol=1e-4)


def test_without_leak_it_is_torchs_layer_and_with_all_of_it_it_stands_still():
    rng = numpy_generator(0)
    theirs = torch.nn.RNN(2, 3, dtype=torch.float64)
    for alpha in (0.0, 1.0):
        ours = LeakyRNN(2, 3, alpha, rng=rng)
        weights = {k: v.detach().numpy() for k, v in theirs.state_dict().items()}
        ours.load_state_dict(weights, strict=False)
        x, hx = rng.normal(size=(6, 4, 2)), rng.normal(size=(1, 4, 3))
        y, h = ours(x, hx)
        if alpha:
            np.testing.assert_array_equal(y.data, np.broadcast_to(hx, y.shape))
        else:
            same([y.data, h.data], theirs(torch.tensor(x), torch.tensor(hx)))


@given(layers(), KINDS, st.booleans(), st.booleans(), st.integers(1, 3))
def test_the_kernel_is_the_readable_layer(case, kind, each_step, reverse, n):
    x, hx, w_ih, w_hh, b_ih, b_hh, rng, dtype = case
    (t, _, d), h = x.shape, len(w_hh)
    x, hx = (rng.normal(size=s).astype(dtype) for s in ((t, n, d), (n, h)))
    alpha = rng.uniform(0.1, 0.9, (t, h) if each_step else h).astype(dtype)
    biases = () if b_ih is None else (b_ih, b_hh)
    args = x.reshape(-1, d), np.full(t, n), (hx,), (w_ih, w_hh, *biases, alpha)
    y, (end,), pull = leaky_inputs_in_one_product(*args, reverse, kind)
    turn = slice(None, None, -1 if reverse else 1)
    along = alpha[turn] if each_step else alpha
    plain = x[turn], hx, w_ih, w_hh, along, b_ih, b_hh, kind
    expected = leaky_rnn(*plain)
    same(
        [y.reshape(t, n, h), end],
        [torch.tensor(expected[turn].copy()), torch.tensor(expected[-1])],
        dtype,
    )
    dy, dend = (rng.normal(size=s).astype(dtype) for s in ((t, n, h), (n, h)))
    both = dy[turn].copy()
    both[-1] += dend
    dx, dhx, dw_ih, dw_hh, dalpha, *db = leaky_rnn_backward(both, *plain)
    dalpha = dalpha[turn] if each_step else dalpha
    wanted = [dx[turn].reshape(-1, d), dhx, dw_ih, dw_hh, *db[: len(biases)], dalpha]
    found = pull(dy.reshape(-1, h), (dend,))
    wanted = [torch.tensor(w.copy()) for w in wanted]
    same([found[0], *found[1], *found[2]], wanted, dtype)
    targs = [torch.tensor(a) for a in (args[0], hx, *args[3])]
    theirs = twin.leaky_inputs_in_one_product(
        targs[0], args[1], (targs[1],), targs[2:], reverse, kind
    )
    same([y, end], [theirs[0], *theirs[1]], dtype)
    theirs = theirs[2](torch.tensor(dy.reshape(-1, h)), (torch.tensor(dend),))
    same([found[0], *found[1], *found[2]], [theirs[0], *theirs[1], *theirs[2]], dtype)


@pytest.mark.parametrize("kind", ["tanh", "relu", "linear"])
def test_the_part_of_the_way_forth_that_recurs(kind):
    rng = numpy_generator(0)
    for reverse in (False, True):
        args = [rng.normal(size=s) for s in ((5, 3), (2, 3), (3, 3), (3, 3))]
        targs = [torch.tensor(a) for a in args]
        options = np.array([2, 2, 1]), reverse, kind
        same(run_leaky(*args, *options), twin.run_leaky(*targs, *options))


def test_the_part_of_the_way_back_that_recurs():
    rng = numpy_generator(0)
    for reverse in (False, True):
        args = [rng.normal(size=s) for s in ((5, 3), (2, 3), (5, 3), (3, 3), (3, 3))]
        targs = [torch.tensor(a) for a in args]
        sizes = np.array([2, 2, 1])
        same(pull_leaky(*args, sizes, reverse), twin.pull_leaky(*targs, sizes, reverse))


@pytest.mark.parametrize("kind", ["leaky", "learned", "clock"])
def test_ragged_batches_are_sequences_one_by_one(kind):
    rng, lengths = numpy_generator(0), [5, 3, 1]
    net = {
        "leaky": lambda: LeakyRNN(2, 4, [0.0, 0.5, 0.9, 1.0], rng=rng),
        "learned": lambda: LeakyRNN(2, 4, learned=True, rng=rng),
        "clock": lambda: ClockworkRNN(2, 4, (1, 3), rng=rng),
    }[kind]()
    x = rng.normal(size=(5, 3, 2))
    packed, end = net(pack_padded_sequence(x, lengths))
    (packed.data.sum() + end.sum()).backward()
    together = [p.grad.data for p in net.parameters()]
    for p in net.parameters():
        p.grad = None
    for i, n in enumerate(lengths):
        y, alone = net(x[:n, i])
        np.testing.assert_allclose(alone.data[0], end.data[0, i], atol=1e-12)
        (y.sum() + alone.sum()).backward()
    for p, g in zip(net.parameters(), together, strict=True):
        np.testing.assert_allclose(p.grad.data, g, atol=1e-10)


MODULES = {
    "leaky": ("LeakyRNN", {"alpha": 0.7, "nonlinearity": "relu"}),
    "one by one": ("LeakyRNN", {"alpha": [0.1, 0.5, 0.6, 1.0], "batch_first": True}),
    "learned": ("LeakyRNN", {"alpha": 0.8, "learned": True, "nonlinearity": "linear"}),
    "clock": ("ClockworkRNN", {"periods": (1, 3)}),
    "clocks": ("ClockworkRNN", {"periods": [1, 2, 4, 8], "batch_first": True}),
    "skip": ("SkipRNN", {"skip": 3}),
    "long": ("SkipRNN", {"skip": 2, "short": False, "batch_first": True}),
}
OURS = {"LeakyRNN": LeakyRNN, "ClockworkRNN": ClockworkRNN, "SkipRNN": SkipRNN}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_modules_are_their_twins(name, bias, dtype):
    kind, options = MODULES[name]
    options = options | {"bias": bias}
    ours = OURS[kind](3, 4, rng=numpy_generator(0), dtype=dtype, **options)
    own = {"rng": torch_generator(0), "dtype": getattr(torch, dtype)}
    theirs = getattr(layers_pytorch, kind)(3, 4, **own, **options)
    assert set(ours.state_dict()) == set(theirs.state_dict())
    assert all(
        abs(p).max() <= 0.5 for n, p in theirs.named_parameters() if "logit" not in n
    )
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    rng, code = numpy_generator(1), {"float64": "f8", "float32": "f4"}[dtype]
    x = rng.normal(size=(5, 2, 3)).astype(dtype)
    count = options.get("skip", 1)
    n = 5 if options.get("batch_first") else 2
    hx = rng.normal(size=(count, n, 4)).astype(dtype)
    for start in (None, hx):
        for net in (ours, theirs):
            for p in net.parameters():
                p.grad = None
        x_, tx = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        h_ = None if start is None else tensor(hx, requires_grad=True)
        th = None if start is None else torch.tensor(hx, requires_grad=True)
        y, end = ours(x_, h_)
        ty, tend = theirs(tx, th)
        same([y.data, end.data], [ty, tend], code)
        dy = rng.normal(size=y.shape).astype(dtype)
        ((y * dy).sum() + (end * end).sum()).backward()
        ((ty * torch.tensor(dy)).sum() + (tend * tend).sum()).backward()
        named = dict(theirs.named_parameters())
        pairs = [(p, named[k]) for k, p in ours.named_parameters()]
        pairs += [(x_, tx)] + ([] if start is None else [(h_, th)])
        same([a.grad.data for a, _ in pairs], [b.grad for _, b in pairs], code)


def test_a_leak_starts_where_it_was_asked_to():
    wanted = [0.1, 0.5, 0.99]
    for learned in (False, True):
        ours = LeakyRNN(2, 3, wanted, learned, rng=numpy_generator(0))
        theirs = layers_pytorch.LeakyRNN(2, 3, wanted, learned, rng=torch_generator(0))
        np.testing.assert_allclose(ours.alpha.data, wanted, rtol=1e-12)
        same([ours.alpha.data], [theirs.alpha])
        assert len(list(ours.parameters())) == 4 + learned


def test_a_learned_leak_learns():
    rng = numpy_generator(0)
    net = LeakyRNN(1, 1, 0.5, True, "linear", False, rng=rng)
    net.weight_ih_l0.data[:], net.weight_hh_l0.data[:] = 1, 0
    x = rng.normal(size=(200, 1, 1))
    target, h = [], 0
    for value in x[:, 0, 0]:
        h = 0.9 * h + 0.1 * value
        target.append(h)
    target = np.array(target)[:, None, None]
    for _ in range(60):
        loss = ((net(x)[0] - target) ** 2).mean()
        net.zero_grad()
        loss.backward()
        net.logit_alpha_l0.data -= 20 * net.logit_alpha_l0.grad.data
    assert net.alpha.item() == pytest.approx(0.9, abs=0.01)


# --------------------------------------------------------------------- several clocks


def test_clocks_of_period_1_are_torchs_layer():
    rng = numpy_generator(0)
    theirs = torch.nn.RNN(2, 4, dtype=torch.float64)
    ours = ClockworkRNN(2, 4, (1, 1), rng=rng)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x = rng.normal(size=(6, 3, 2))
    same([a.data for a in ours(x)], theirs(torch.tensor(x)))


def test_clockwork_unit_by_unit():
    rng, periods = numpy_generator(0), [1, 1, 2, 2, 4, 4]
    net = ClockworkRNN(2, 6, (1, 2, 4), rng=rng)
    x, h = rng.normal(size=(9, 2)), np.zeros(6)
    found = net(x)[0].data
    u, w, b, c = (p.data for p in net.parameters())
    for t in range(9):
        old = h.copy()
        for i, period in enumerate(periods):
            if t % period == 0:
                heard = sum(w[i, j] * old[j] for j in range(6) if periods[j] >= period)
                h[i] = np.tanh(u[i] @ x[t] + heard + b[i] + c[i])
        np.testing.assert_allclose(found[t], h, atol=1e-12)
    assert clock_alpha(periods, 9).sum() == 2 * (0 + 4 + 6)
    for f, options in ((clock_alpha, (periods, 9)), (clock_links, (periods,))):
        same([f(*options)], [getattr(twin, f.__name__)(*options)])


def test_slow_clocks_remember():
    rng = numpy_generator(0)
    x = rng.normal(size=(64, 4, 1))
    norms = {}
    for periods in ((1, 1), (1, 16)):
        net = ClockworkRNN(1, 8, periods, rng=numpy_generator(1))
        norms[periods[1]] = grad_norm_by_lag(net, x)
    # what comes in at step 32, a tick of the slow clock, 31 steps before the end
    assert norms[16][31] > 100 * norms[1][31]


def test_the_twins_kernel_of_clocks():
    rng = numpy_generator(0)
    ours = ClockworkRNN(2, 4, (1, 2), rng=rng)
    theirs = layers_pytorch.ClockworkRNN(2, 4, (1, 2), rng=torch_generator(0))
    x, hx, w, b = (rng.normal(size=s) for s in ((3, 2), (2, 4), (4, 2), (4, 4)))
    dy, dend = rng.normal(size=(3, 4)), rng.normal(size=(2, 4))
    y, (end,), pull = ours.kernel(x, np.array([2, 1]), (hx,), (w, b), True)
    tx, thx, tw, tb, tdy, tdend = map(torch.tensor, (x, hx, w, b, dy, dend))
    ty, (tend,), tpull = theirs.kernel(tx, [2, 1], (thx,), (tw, tb), True)
    same([y, end], [ty, tend])
    dx, (dhx,), dw = pull(dy, (dend,))
    tdx, (tdhx,), tdw = tpull(tdy, (tdend,))
    same([dx, dhx, *dw], [tdx, tdhx, *tdw])


# ------------------------------------------------------------- links that skip in time


@given(layers(), st.integers(1, 6), st.booleans(), st.sampled_from(["tanh", "relu"]))
def test_skips_are_those_of_autograd(case, d, short, kind):
    x, hx, w_ih, w_hh, b_ih, b_hh, rng, dtype = case
    hx = rng.normal(size=(d, *hx.shape)).astype(dtype)
    w_skip = rng.normal(size=w_hh.shape).astype(dtype)
    args = x, hx, w_ih, w_hh if short else None, w_skip, b_ih, b_hh, kind
    against_autograd(skip_rnn, skip_rnn_backward, twin.skip_rnn, args, 7, dtype)


def test_long_links_alone_are_networks_that_take_turns():
    rng = numpy_generator(0)
    theirs = torch.nn.RNN(2, 3, dtype=torch.float64)
    for d in (1, 2, 4):
        ours = SkipRNN(2, 3, d, short=False, rng=rng)
        weights = {k: v.numpy() for k, v in theirs.state_dict().items()}
        weights["weight_skip_l0"] = weights.pop("weight_hh_l0")
        ours.load_state_dict(weights)
        x = rng.normal(size=(8, 2, 2))
        y = ours(x)[0].data
        for first in range(d):
            same([y[first::d]], [theirs(torch.tensor(x[first::d]))[0]])


def test_a_link_of_length_1_beside_the_short_one_adds_up():
    rng = numpy_generator(0)
    net, plain = SkipRNN(2, 3, 1, rng=rng), RNN(2, 3, rng=rng)
    weights = {k: v.copy() for k, v in net.state_dict().items()}
    weights["weight_hh_l0"] += weights.pop("weight_skip_l0")
    plain.load_state_dict(weights)
    x = rng.normal(size=(5, 2, 2))
    np.testing.assert_allclose(net(x)[0].data, plain(x)[0].data, atol=1e-12)


def test_a_sequence_in_pieces_is_the_sequence():
    rng = numpy_generator(0)
    net, x = SkipRNN(2, 3, 4, rng=rng), rng.normal(size=(7, 2, 2))
    whole, last = net(x)
    first, hx = net(x[:3])
    second, hx = net(x[3:], hx)
    np.testing.assert_allclose(np.concatenate([first.data, second.data]), whole.data)
    np.testing.assert_allclose(hx.data, last.data)


@pytest.mark.parametrize("d", [2, 5])
def test_with_skips_gradients_decay_d_times_more_slowly(d):
    rng, x = numpy_generator(0), np.zeros((61, 1, 1))
    w = 0.6 * np.eye(6)
    plain, long = (
        RNN(1, 6, rng=rng, bias=False),
        SkipRNN(1, 6, d, short=False, bias=False, rng=rng),
    )
    plain.weight_hh_l0.data[:] = long.weight_skip_l0.data[:] = w
    slope = log_slope(grad_norm_by_lag(plain, x))
    ratio = slope / log_slope(grad_norm_by_lag(long, x))
    assert ratio == pytest.approx(d, rel=1e-9)
    assert not grad_norm_by_lag(long, x)[1:d].any()
    both = SkipRNN(1, 6, d, bias=False, rng=rng)
    both.weight_skip_l0.data[:], both.weight_hh_l0.data[:] = w, w / 3
    assert log_slope(grad_norm_by_lag(both, x)) > slope / 2


# ------------------------------------------------------------------------- edge cases


def test_slopes_of_proposals():
    v = np.array([-0.5, 0.0, 0.5])
    for kind in ("tanh", "relu", "linear"):
        same([proposal_slope(v, kind)], [twin.proposal_slope(torch.tensor(v), kind)])


def test_arrays_that_are_not_contiguous():
    rng = numpy_generator(0)
    x, hx, alpha = rng.normal(size=(4, 3, 2)), rng.normal(size=(3, 3)), np.full(6, 0.5)
    w_ih, w_hh = rng.normal(size=(2, 3)).T, rng.normal(size=(3, 3)).T
    turned = np.asfortranarray(x), hx.T.copy().T, w_ih, w_hh
    whole = [np.ascontiguousarray(a) for a in turned]
    for a, b in ((leaky_rnn, alpha[::2]), (skip_rnn, w_hh)):
        first = turned if a is leaky_rnn else (turned[0], turned[1][None], *turned[2:])
        other = whole if a is leaky_rnn else (whole[0], whole[1][None], *whole[2:])
        np.testing.assert_allclose(a(*first, b), a(*other, b.copy()), atol=1e-15)


def test_large_scores_neither_warn_nor_overflow():
    x, hx, w = np.full((3, 1, 1), 1e4), np.zeros((1, 1)), np.full((1, 1), 1e4)
    with np.errstate(all="raise"):
        y = leaky_rnn(x, hx, w, w, np.array([0.5]))
        d = leaky_rnn_backward(np.ones_like(y), x, hx, w, w, np.array([0.5]))
        z = skip_rnn(x, hx[None], w, w, w)
    assert all(np.isfinite(a).all() for a in (y, d[0], z))


def test_the_kernels_plain_case_is_that_of_the_page_before():
    rng = numpy_generator(0)
    x, hx = rng.normal(size=(5, 2)), rng.normal(size=(2, 3))
    w = rng.normal(size=(3, 2)), rng.normal(size=(3, 3))
    args = x, np.array([2, 2, 1]), (hx,)
    ours = leaky_inputs_in_one_product(*args, (*w, np.zeros(3)))
    np.testing.assert_allclose(ours[0], rnn_inputs_in_one_product(*args, w)[0])
    assert hx is not ours[1][0]
