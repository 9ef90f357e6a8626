"""Bad calls of the page's functions end in a sentence, whatever the fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import tensor
from dlbook_lib.recurrent.long_term_dependencies import (
    gradients,
    layers,
    reservoirs,
    scratch,
)
from dlbook_lib.recurrent.long_term_dependencies.gradients import (
    info_flow_penalty,
    info_flow_penalty_backward,
    info_flow_penalty_exact,
    one_step_back,
    random_step_,
    unit_vectors,
)
from dlbook_lib.recurrent.long_term_dependencies.layers import (
    ClockworkRNN,
    LeakyRNN,
    SkipRNN,
)
from dlbook_lib.recurrent.long_term_dependencies.reservoirs import (
    EchoStateNetwork,
    continue_series,
    fit_readout,
    nrmse,
    reservoir_weights,
    spectral_radius,
)
from dlbook_lib.recurrent.long_term_dependencies.scratch import (
    alpha_of_half_life,
    as_alpha,
    as_periods,
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
    skip_rnn,
    skip_rnn_backward,
    square,
    state_gradients,
    time_constant,
)
from dlbook_lib.recurrent.long_term_dependencies.tasks import mackey_glass
from tests.feedforward.bad_input import (
    Call,
    Choice,
    Floats,
    Given,
    Number,
    Positive,
    Whole,
    not_described,
    refuses,
)

RNG = numpy_generator(0)
NO_RNG = {"rng": Given(RNG)}
FLAG, KIND = Choice(False, True), Choice("tanh", "relu")
THREE = Choice("tanh", "relu", "linear")
W_HH = Floats("H", "H")
WEIGHTS = {"w_ih": Floats("H", "D"), "w_hh": W_HH}
BIASES = {"b_ih": Floats("H"), "b_hh": Floats("H")}
LAYER = {"input": Floats("T", "N", "D"), "hx": Floats("N", "H")} | WEIGHTS
LAYER |= {"alpha": Floats("H", low=0, high=1, skip=("one axis more in front",))}
LAYER |= BIASES
SKIP = {"input": Floats("T", "N", "D"), "hx": Floats("d", "N", "H")} | WEIGHTS
SKIP |= {"w_hh": Floats("H", "H", optional=True), "w_skip": W_HH} | BIASES
SIZES = {"input_size": Whole(), "hidden_size": Whole()}
FLOW = {"w_hh": W_HH, "output": Floats("T", "N", "H"), "dstates": Floats("T", "N", "H")}
SHARE = Floats(..., low=0, high=1)
NETS = [
    LeakyRNN(2, 3, rng=RNG),
    ClockworkRNN(2, 4, rng=RNG),
    SkipRNN(2, 3, rng=RNG),
    EchoStateNetwork(2, 20, 1, rng=RNG),
]
STATE = Floats("N", "H", skip=("missing",))
ESN = EchoStateNetwork(2, 20, 2, rng=RNG)
CALLS = [
    Call(square, w_hh=W_HH),
    Call(linear_recurrence, hx=STATE, w_hh=W_HH, steps=Whole(0)),
    Call(
        linear_recurrence_by_eigenvalues,
        hx=Floats("N", 2, skip=("missing",)),
        w_hh=Given(np.eye(2)),
        steps=Whole(0),
    ),
    Call(
        state_gradients,
        dy=Floats("T", "N", "H"),
        output=Floats("T", "N", "H"),
        w_hh=W_HH,
        nonlinearity=KIND,
    ),
    Call(
        grad_norm_by_lag,
        net=Given(NETS[0]),
        input=Floats("T", 4, 2, skip=("one longer, (5", "axis 1")),
        dy=Floats(4, 3, optional=True),
    ),
    Call(log_slope, norms=Floats("T", low=0, skip=("length 1",))),
    Call(time_constant, alpha=SHARE),
    Call(half_life, alpha=SHARE),
    Call(alpha_of_half_life, steps=Floats(..., low=0)),
    Call(
        proposal,
        input=Floats("N", "D"),
        hx=Floats("N", "H"),
        **WEIGHTS,
        **BIASES,
        nonlinearity=THREE,
    ),
    Call(proposal_slope, v=Floats(...), nonlinearity=KIND),
    Call(as_alpha, alpha=Floats(3, low=0, high=1), steps=Given(4), units=Given(3)),
    Call(leaky_rnn, **LAYER, nonlinearity=THREE),
    Call(leaky_rnn_backward, dy=Floats("T", "N", "H"), **LAYER, nonlinearity=THREE),
    Call(
        leaky_inputs_in_one_product,
        input=Floats(4, 2),
        batch_sizes=Given([2, 2]),
        states=Given((np.ones((2, 3)),)),
        weights=Given((np.ones((3, 2)), np.ones((3, 3)), np.full(3, 0.5))),
        reverse=FLAG,
        nonlinearity=THREE,
    ),
    Call(
        LeakyRNN,
        **SIZES,
        alpha=Number(0, 1, skip=("three numbers", "a list")),
        learned=FLAG,
        nonlinearity=THREE,
        bias=FLAG,
        batch_first=FLAG,
        **NO_RNG,
    ),
    Call(clock_alpha, periods=Given([1, 2]), steps=Whole()),
    Call(
        ClockworkRNN,
        input_size=Whole(),
        hidden_size=Given(4),
        nonlinearity=THREE,
        bias=FLAG,
        batch_first=FLAG,
        **NO_RNG,
    ),
    Call(skip_rnn, **SKIP, nonlinearity=KIND),
    Call(skip_rnn_backward, dy=Floats("T", "N", "H"), **SKIP, nonlinearity=KIND),
    Call(
        SkipRNN,
        **SIZES,
        skip=Whole(),
        short=FLAG,
        nonlinearity=KIND,
        bias=FLAG,
        batch_first=FLAG,
        **NO_RNG,
    ),
    *(
        Call(net.forward, input=Floats("T", "N", 2, skip=("axis is missing",)))
        for net in NETS
    ),
    Call(spectral_radius, w_hh=W_HH),
    Call(
        reservoir_weights,
        size=Whole(9, skip=("too low",)),
        radius=Number(0),
        density=Number(0.5, 1),
        **NO_RNG,
    ),
    Call(nrmse, input=Floats(...), target=Floats(...)),
    Call(
        EchoStateNetwork,
        input_size=Whole(),
        hidden_size=Whole(20, skip=("too low",)),
        output_size=Whole(),
        radius=Number(0),
        density=Number(0.5, 1),
        leak=Number(0, 1),
        input_scale=Positive(zero=True),
        nonlinearity=THREE,
        **NO_RNG,
    ),
    Call(
        fit_readout,
        states=Floats("T", "N", "H"),
        target=Floats("T", "N", "out"),
        washout=Given(1),
        alpha=Positive(zero=True),
    ),
    Call(
        ESN.fit,
        input=Floats("T", "N", 2),
        target=Floats("T", "N", 2),
        washout=Given(1),
        alpha=Positive(zero=True),
    ),
    Call(continue_series, net=Given(ESN), input=Floats("T", "N", 2), steps=Whole()),
    Call(ESN.states, input=Floats("T", "N", 2), hx=Floats(1, "N", 20, optional=True)),
    Call(random_step_, parameters=Given([]), max_norm=Positive(zero=True), **NO_RNG),
    Call(unit_vectors, x=Floats("N", "H", skip=("axis", "axes"))),
    Call(one_step_back, **FLOW, nonlinearity=KIND),
    Call(
        info_flow_penalty,
        **FLOW,
        nonlinearity=KIND,
        reduction=Choice("mean", "sum", "none"),
    ),
    Call(
        info_flow_penalty_backward,
        dy=Number(),
        **FLOW,
        nonlinearity=KIND,
        reduction=Given("mean"),
    ),
]


@pytest.mark.parametrize("call", CALLS, ids=str)
@given(data=st.data())
def test_a_bad_call_ends_in_a_sentence(call, data):
    refuses(data.draw(call.bad()))


def test_every_function_is_described():
    rest = {"run_leaky", "pull_leaky", "as_periods", "clock_links", "check_leaky"}
    assert not_described(scratch, CALLS) == rest
    assert not_described(layers, CALLS) == set()
    assert not_described(reservoirs, CALLS) == set()
    assert not_described(gradients, CALLS) == {"info_flow_penalty_exact"}


X, H = np.ones((4, 2)), (np.ones((2, 3)),)
W = np.ones((3, 2)), np.ones((3, 3))
SEQUENCE = np.ones((5, 2, 2))
LOSS = tensor(1.0, requires_grad=True)
BAD_CALLS = [
    (lambda: reservoir_weights(0, rng=RNG), "reservoir_weights: size must be"),
    (lambda: as_periods(2), "as_periods: periods must be a list"),
    (lambda: as_periods([]), "as_periods: periods must be a list"),
    (lambda: as_periods([1, 0]), "as_periods: periods must be a whole number"),
    (lambda: clock_links([1.0]), "as_periods: periods must be a whole number"),
    (lambda: clock_alpha(np.ones((2, 2), int), 2), "as_periods: periods must be a"),
    (lambda: ClockworkRNN(1, 5, (1, 2), rng=RNG), "hidden_size 5 must be a whole"),
    (lambda: LeakyRNN(1, 3, [0.5, 0.5], rng=RNG), "LeakyRNN: alpha .2,. must be"),
    (lambda: LeakyRNN(1, 3, 1.0, True, rng=RNG), "LeakyRNN: alpha must lie between"),
    (lambda: LeakyRNN(1, 3, 1, rng=RNG), "LeakyRNN: alpha must hold floating"),
    (
        lambda: leaky_inputs_in_one_product(X, [2, 2], H, W),
        "check_leaky: weights must be 3 or 5",
    ),
    (
        lambda: leaky_inputs_in_one_product(X, [2, 2], H, (*W, np.ones(2))),
        "as_alpha: alpha has shape",
    ),
    (
        lambda: linear_recurrence_by_eigenvalues(np.ones(2), np.tri(2), 1),
        "linear_recurrence_by_eigenvalues: w_hh must be symmetric",
    ),
    (lambda: square(np.full((2, 2), np.nan)), "square: w_hh .* holds NaN"),
    (lambda: SkipRNN(2, 3, 2, rng=RNG)(SEQUENCE, np.ones((3, 2, 3))), "hx holds 3"),
    (lambda: ESN.fit(SEQUENCE, SEQUENCE), "fit_readout: washout 100 leaves none of 5"),
    (lambda: ESN.fit(SEQUENCE, SEQUENCE[..., :1], 0), "does not fit the readout"),
    (lambda: ESN.fit(SEQUENCE, SEQUENCE * np.nan, 0), "fit_readout: target is NaN or"),
    (lambda: mackey_glass(3, tau=np.inf), "mackey_glass: tau inf must be a whole"),
    (lambda: skip_rnn(SEQUENCE, SEQUENCE, *W[:2], W[0]), "skip_rnn: w_skip has shape"),
    (lambda: continue_series(NETS[3], SEQUENCE, 2), "1 outputs are no 2 inputs"),
    (lambda: continue_series(len, SEQUENCE, 2), "net must be an EchoStateNetwork"),
    (lambda: random_step_(np.ones(3), 1.0, rng=RNG), "with_grads: parameters must be"),
    (
        lambda: info_flow_penalty_exact(LOSS, [], LOSS),
        "info_flow_penalty_exact: states must be a list of Tensors",
    ),
    (
        lambda: info_flow_penalty_exact(LOSS, [LOSS], LOSS, "linear"),
        "info_flow_penalty_exact: nonlinearity must be",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_other_bad_calls_get_a_sentence(call, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        call()
