"""The engine: order, memory, versions, higher orders, pairs written by hand."""

import gc
import re
import subprocess
import sys
import weakref
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff import operations as F
from dlbook_lib.feedforward.autodiff.engine import (
    Tensor,
    change,
    enable_grad,
    expand,
    fused,
    grad,
    is_grad_enabled,
    no_grad,
    primitive,
    register,
    sum_to,
    tensor,
    topological_order,
)


def leaf(*shape, seed=0, dtype=float):
    return Tensor(
        numpy_generator(seed).standard_normal(shape).astype(dtype), requires_grad=True
    )


def twin(x):
    """The same leaf in torch."""
    return torch.tensor(x.data, requires_grad=x.requires_grad)


def close(ours, theirs):
    theirs = theirs.detach().numpy() if isinstance(theirs, torch.Tensor) else theirs
    np.testing.assert_allclose(getattr(ours, "data", ours), theirs, 1e-10, 1e-10)


# ---- what a Tensor is ----------------------------------------------------------------


def test_a_tensor_shares_an_array_and_tensor_copies_it():
    array = np.zeros(3)
    shared, copied = Tensor(array), tensor(array)
    array[0] = 1
    assert shared.tolist() == [1, 0, 0]
    assert copied.tolist() == [0, 0, 0]
    assert shared.numpy() is array


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.0, np.float64),
        ([1.0, 2.0], np.float64),
        (np.float32(2), np.float32),
        (np.ones(2, np.float32), np.float32),
        (3, np.int64),
        ([True], bool),
        (Tensor(np.ones(2, np.float32)), np.float32),
    ],
)
def test_dtypes_of_new_tensors(data, dtype):
    assert Tensor(data).dtype == tensor(data).dtype == dtype
    assert Tensor(data, dtype=np.float32).dtype == np.float32


def test_attributes_are_torchs():
    x = leaf(2, 3)
    y = (x * 2).sum()
    assert (x.shape, x.ndim, x.size(), x.size(1), x.numel()) == (
        (2, 3),
        2,
        (2, 3),
        3,
        6,
    )
    assert (x.is_leaf, y.is_leaf, y.requires_grad, x.detach().requires_grad) == (
        (True, False, True, False)
    )
    assert (y.op, y.parents[0].op, x.op, x.parents) == ("sum", "mul", "", ())
    assert y.item() == float(y) == 2 * x.data.sum()
    assert [row.shape for row in x] == [(3,), (3,)]
    assert len(x) == 2
    assert f"{y:.2f}" == f"{y.item():.2f}"
    assert bool(Tensor(1.0))
    assert not Tensor([0.0])


def test_repr_tells_where_a_tensor_came_from():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "tensor([1., 2.], requires_grad=True)"
    assert repr(x * 2) == f"{x * 2}" == "tensor([2., 4.], op='mul')"
    assert repr(x.detach()) == "tensor([1., 2.])"


def test_comparisons_give_arrays_and_tensors_can_be_keys():
    x = tensor([1.0, 2.0], requires_grad=True)
    for result in (x > 1, x >= 2, x == 2.0, x != 1, x > 1, np.array([1.0, 3.0]) <= x):
        assert type(result) is np.ndarray
        assert result.dtype == bool
    assert (x < Tensor([2.0, 2.0])).tolist() == [True, False]
    assert {x: 1}[x] == 1
    assert len({x, x * 1}) == 2


@pytest.mark.parametrize("other", [np.ones(2), np.float64(2), 3, 2.5, np.array(2.0)])
def test_arrays_and_numbers_leave_the_operator_to_the_tensor(other):
    x = tensor([1.0, 2.0], requires_grad=True)
    for y in (other + x, other - x, other * x, other / x, other**x):
        assert isinstance(y, Tensor)
        assert y.requires_grad
    assert isinstance(np.ones((3, 2)) @ x, Tensor)


def test_an_array_of_a_tensor_that_requires_grad_is_refused():
    x = leaf(2)
    for call in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(RuntimeError, match=r"detach\(\).numpy\(\)"):
            call()
    close(np.asarray(x.detach()), x.data)


# ---- whether operations are recorded -------------------------------------------------


def test_no_grad_records_nothing_and_ends():
    x = leaf(2)
    with no_grad():
        assert not (x * 2).requires_grad
        with enable_grad():
            assert (x * 2).requires_grad
        assert not is_grad_enabled()
    assert is_grad_enabled()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()


def test_no_grad_as_a_decorator_may_call_itself():
    @no_grad()
    def power(x, n):
        assert not is_grad_enabled()
        return x * power(x, n - 1) if n else x

    assert not power(leaf(2), 3).requires_grad
    assert is_grad_enabled()


def test_what_needs_no_gradient_is_not_recorded():
    x = leaf(2)
    assert (Tensor(np.ones(2)) * 2).node is None
    assert (x.detach() * 2).node is None
    assert not F.where(x > 0, 1.0, Tensor(np.zeros(2))).requires_grad


# ---- backward ------------------------------------------------------------------------


def tangled(F, x, w):
    """Values used several times, at several depths."""
    h = F.tanh(x @ w)
    a = h * h + x
    b = (a * h).sum(0) - F.exp(a).mean(0)
    return (b * a + h[0]).sum() + w.sum() * h.sum()


class Torch:
    def __getattr__(self, name):
        return getattr(torch, name, None) or getattr(torch.nn.functional, name)


def test_backward_equals_torchs_on_a_tangled_graph():
    x, w = leaf(4, 4), leaf(4, 4, seed=1)
    tx, tw = twin(x), twin(w)
    tangled(F, x, w).backward()
    tangled(Torch(), tx, tw).backward()
    close(x.grad, tx.grad)
    close(w.grad, tw.grad)


def test_gradients_add_up_over_calls():
    x = leaf(3)
    for times in (1, 2, 3):
        (x * x).sum().backward()
        close(x.grad, times * 2 * x.data)


def test_a_second_backward_needs_retain_graph():
    x = leaf(3)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    close(x.grad, 4 * x.data)
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        y.backward()


def test_a_freed_part_is_freed_for_others_too():
    x = leaf(3)
    h = x * x
    h.sum().backward()
    with pytest.raises(RuntimeError, match="freed by an earlier backward"):
        (h * 2).sum().backward()


def test_grad_frees_only_what_leads_to_its_inputs():
    x, w = leaf(3), leaf(3, seed=1)
    a, b = x * x, w * w
    loss = (a * b).sum()
    grad(loss, x)
    (g,) = grad(b, w, np.ones(3))  # was not on the way to x
    close(g, 2 * w.data)


def test_backward_takes_a_gradient_of_the_outputs_shape():
    x, v = leaf(2, 3), numpy_generator(1).standard_normal((2, 3))
    for gradient in (v, Tensor(v), v.tolist()):
        x.grad = None
        (x**3).backward(gradient)
        close(x.grad, 3 * x.data**2 * v)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_number_needs_no_gradient(shape):
    x = leaf(*shape)
    (x * 3).backward()
    assert x.grad.shape == shape
    close(x.grad, np.full(shape, 3.0))


def test_leaves_own_their_gradients():
    a, b = leaf(3), leaf(3, seed=1)
    v = np.ones(3)
    (a + b).backward(v)
    for p, q in combinations([v, a.grad.data, b.grad.data], 2):
        assert not np.shares_memory(p, q)
    a.grad = None
    a.sum().backward()  # a broadcast number, which could not be written to
    a.grad.data *= 2
    x = leaf(3)
    x.backward(v)
    assert x.grad.data is not v


def test_gradients_keep_the_precision_of_their_leaf():
    x, w = leaf(3, dtype=np.float32), leaf(3)
    y = (x * w).sum()
    assert y.dtype == np.float64
    for create_graph in (False, True):
        first = grad(y, [x, w], retain_graph=True, create_graph=create_graph)
        assert [g.dtype for g in first] == [np.float32, np.float64]
    y.backward()
    assert x.grad.dtype == np.float32


@given(data=st.data())
def test_broadcast_gradients_equal_torchs(data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4))
    a, b = leaf(*shapes.input_shapes[0]), leaf(*shapes.input_shapes[1], seed=1)
    ta, tb = twin(a), twin(b)
    y, ty = a * b + a - b, ta * tb + ta - tb
    v = numpy_generator(2).standard_normal(y.shape)
    y.backward(v)
    ty.backward(torch.tensor(v))
    assert a.grad.shape == a.shape
    close(a.grad, ta.grad)
    close(b.grad, tb.grad)


@given(data=st.data())
def test_sum_to_and_expand_are_transposes(data):
    shapes = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=1, base_shape=(2, 3))
    )
    (shape,) = shapes.input_shapes
    x = numpy_generator(0).standard_normal(shape)
    g = numpy_generator(1).standard_normal(shapes.result_shape)
    stretched = expand(x, shapes.result_shape)
    close(np.vdot(stretched, g), np.vdot(x, sum_to(g, shape)))


# ---- the function grad ---------------------------------------------------------------


def test_grad_leaves_grad_alone_and_gives_a_tuple():
    x, w = leaf(3), leaf(3, seed=1)
    first = grad((x * w).sum(), [w, x])
    assert isinstance(first, tuple)
    close(first[0], x.data)
    close(first[1], w.data)
    assert x.grad is None
    assert w.grad is None


def test_grad_with_respect_to_results():
    x = leaf(3)
    h = x * x
    y = (h * h).sum()
    close(grad(y, h, retain_graph=True)[0], 2 * h.data)
    close(grad(y, y, retain_graph=True)[0], 1.0)
    by_h, by_x, by_y = grad(y, [h, x, y])
    close(by_h, 2 * h.data)
    close(by_x, 4 * x.data**3)
    close(by_y, 1.0)
    close(grad(x, x, [np.ones(3)])[0], np.ones(3))


def test_grad_of_several_outputs_adds_them_up():
    x = leaf(3)
    a, b = x * 2, (x * x).sum()
    (g,) = grad([a, b], [x], [np.array([1.0, 2.0, 3.0]), None])
    close(g, 2 * np.array([1.0, 2.0, 3.0]) + 2 * x.data)
    y = x * 3
    close(grad([y, y], x, [np.ones(3), np.ones(3)])[0], np.full(3, 6.0))


def test_an_unused_input_is_an_error_or_none():
    x, other = leaf(3), leaf(2)
    y = (x * x).sum()
    with pytest.raises(RuntimeError, match=r"shape \(2,\).*allow_unused=True"):
        grad(y, [x, other], retain_graph=True)
    used, unused = grad(y, [x, other], allow_unused=True)
    assert unused is None
    close(used, 2 * x.data)


# ---- higher orders -------------------------------------------------------------------


def test_all_derivatives_of_sin():
    x = leaf(5)
    y, expected = F.sin(x), [np.sin, np.cos, lambda t: -np.sin(t), lambda t: -np.cos(t)]
    for order in range(9):
        close(y, expected[order % 4](x.data))
        (y,) = grad(y, x, np.ones(5), create_graph=True)


def test_derivatives_of_a_power_end_at_zero():
    x, y = tensor(0.0, requires_grad=True), 1.0
    y = x**3
    for expected in (0.0, 0.0, 6.0):
        (y,) = grad(y, x, create_graph=True)
        assert y.item() == expected


def test_backward_through_a_gradient_equals_torchs():
    x, w = leaf(4, 4), leaf(4, 4, seed=1)
    tx, tw = twin(x), twin(w)
    (g,) = grad(tangled(F, x, w), x, create_graph=True)
    ((g * g).sum() + w.sum()).backward()
    (tg,) = torch.autograd.grad(tangled(Torch(), tx, tw), tx, create_graph=True)
    ((tg * tg).sum() + tw.sum()).backward()
    close(x.grad, tx.grad)
    close(w.grad, tw.grad)


def test_backward_with_create_graph_gives_gradients_that_can_be_differentiated():
    x = tensor(2.0, requires_grad=True)
    (x**3).backward(create_graph=True)
    assert x.grad.requires_grad
    assert grad(x.grad, x)[0].item() == 12.0
    x.grad = None  # it and x refer to each other


def test_the_vector_may_be_differentiated_too():
    x, v = leaf(3), leaf(3, seed=1)
    (g,) = grad(x**2, x, v, create_graph=True)  # 2 x v
    close(grad(g.sum(), v)[0], 2 * x.data)


# ---- deep graphs and memory ----------------------------------------------------------


def chain(n):
    x = tensor([1.0], requires_grad=True)
    y = x
    for _ in range(n):
        y = y * 1.0
    return x, y


@pytest.mark.slow
def test_a_chain_of_100_000_operations_runs():
    x, y = chain(100_000)
    assert len(topological_order(y)) == 100_001
    y.backward()
    assert x.grad.item() == 1.0


MILLION = """
import gc, weakref
gc.disable()
from tests.feedforward.autodiff.test_engine import chain
x, y = chain(1_000_000)
middle = weakref.ref(y.parents[0].parents[0])
y.backward()
assert x.grad.item() == 1.0 and middle() is None
x, y = chain(1_000_000)
middle = weakref.ref(y.parents[0].parents[0])
del y
assert middle() is None
"""


@pytest.mark.slow
def test_a_chain_of_a_million_operations_runs_and_is_freed_without_the_collector():
    subprocess.run([sys.executable, "-c", MILLION], check=True)


def test_the_work_grows_linearly_with_depth():
    calls = []
    probe = primitive(
        lambda x: x, lambda g, _y, _x: (calls.append(1), g)[1], name="probe"
    )
    for n in (10, 20):
        calls.clear()
        x = tensor([1.0], requires_grad=True)
        y = x
        for _ in range(n):
            y = probe(y)
            y = y + y  # 2ⁿ ways to the end
        y.backward()
        assert len(calls) == n
        assert x.grad.item() == 2.0**n


@pytest.fixture
def without_collector():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def refs_to_graph(y):
    return [weakref.ref(t) for t in topological_order(y)]


@pytest.mark.usefixtures("without_collector")
def test_graphs_go_without_the_collector():
    x, w = leaf(4, 4), leaf(4, 4, seed=1)
    y = tangled(F, x, w)
    refs = refs_to_graph(y)
    y.backward()
    alive = [r() for r in refs if r() is not None]
    assert {id(t) for t in alive} == {id(x), id(w), id(y)}
    del alive

    y = tangled(F, x, w)  # never differentiated
    refs = refs_to_graph(y)
    del y
    assert sum(r() is not None for r in refs) == 2

    y = tangled(F, x, w)
    refs = refs_to_graph(y)
    (g,) = grad(y, x, create_graph=True)
    refs += refs_to_graph(g)
    grad((g * g).sum(), w)
    del y, g
    assert {id(r()) for r in refs if r() is not None} == {id(x), id(w)}
    x.grad = w.grad = None


@pytest.mark.usefixtures("without_collector")
def test_pairs_and_changes_in_place_go_without_the_collector():
    cube = register(
        lambda x: x**3, lambda dy, x: dy * 3 * x**2, reference=lambda x: x * x * x
    )
    x = leaf(3)
    y = x * 1
    y.add_(x)
    y[0] = x[1]
    z = cube(y).sum()
    refs = refs_to_graph(z)
    (g,) = grad(z, x, create_graph=True)
    grad(g.sum(), x)
    del y, z, g
    assert [r() for r in refs if r() is not None] == [x]


def test_memory_is_free_as_early_as_can_be():
    """When the first operation is pulled back, what came after it is gone."""
    seen = []
    look = primitive(
        np.copy, lambda g, _y, _x: (seen.append(later()), g)[1], name="look"
    )
    x = leaf(3)
    a = look(x)
    b = F.exp(a)
    later = weakref.ref(b)
    c = (b * b).sum()
    del a, b
    c.backward()
    assert seen == [None]


# ---- changes in place ----------------------------------------------------------------

# (what is computed from y, or of x and w, before the change; the rest is the same)
SAVED = {
    "add": lambda F, y, w: y + w,
    "add number": lambda F, y, w: y + 1.0,
    "sub": lambda F, y, w: w - y,
    "mul": lambda F, y, w: y * w,
    "mul number": lambda F, y, w: y * 2.0,
    "mul itself": lambda F, y, w: y * y,
    "div by": lambda F, y, w: w / y,
    "div number": lambda F, y, w: y / 2.0,
    "neg": lambda F, y, w: -y,
    "exp": lambda F, y, w: F.exp(y),
    "log": lambda F, y, w: F.log(y),
    "sqrt": lambda F, y, w: F.sqrt(y),
    "sin": lambda F, y, w: F.sin(y),
    "tanh": lambda F, y, w: F.tanh(y),
    "sigmoid": lambda F, y, w: F.sigmoid(y),
    "pow": lambda F, y, w: y**3,
    "abs": lambda F, y, w: F.abs(y),
    "maximum": lambda F, y, w: F.maximum(y, w),
    "where": lambda F, y, w: F.where(w.detach() > 1, y, w),
    "sum": lambda F, y, w: y.sum(0),
    "mean": lambda F, y, w: y.mean(1),
    "softmax": lambda F, y, w: F.softmax(y, 1),
    "logsumexp": lambda F, y, w: F.logsumexp(y, 1),
    "reshape of sum": lambda F, y, w: (y + 0.0).reshape(9),
    "getitem of sum": lambda F, y, w: (y + 0.0)[1],
    "cat": lambda F, y, w: F.cat([y, w], 0),
    "matmul": lambda F, y, w: y @ w,
    "cumsum": lambda F, y, w: F.cumsum(y, 0),
    "clone": lambda F, y, w: y.clone(),
}


def change_after(F, f, x, w, whole):
    """Gradients, or "changed", if y or what f made of it is changed before backward."""
    y = x * 1.0
    z = f(F, y, w)
    total = z.sum() if whole else z.sum() + 0.0
    changed = y if whole else z
    if isinstance(x, Tensor):
        with no_grad():
            changed.mul_(2.0)
    else:
        with torch.no_grad():
            changed.mul_(2.0)
    try:
        total.backward()
    except RuntimeError as error:
        return "changed" if re.search("in-?place|in place", str(error)) else error
    return x.grad, w.grad


@pytest.mark.parametrize("whole", [True, False], ids=["argument", "result"])
@pytest.mark.parametrize("name", SAVED)
def test_a_change_after_saving_raises_exactly_where_torch_does(name, whole):
    x = Tensor(np.abs(leaf(3, 3).data) + 0.5, requires_grad=True)
    w = Tensor(np.abs(leaf(3, 3, seed=1).data) + 0.5, requires_grad=True)
    ours = change_after(F, SAVED[name], x, w, whole)
    theirs = change_after(TorchInstance, SAVED[name], twin(x), twin(w), whole)
    if isinstance(theirs, str) or isinstance(ours, str):
        assert ours == theirs
    else:
        for a, b in zip(ours, theirs, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                close(a, b)


TorchInstance = Torch()


def test_the_error_says_what_was_changed_and_what_to_try():
    x = leaf(2, 3)
    y = x * 1.0
    z = y * y
    y.add_(1.0)
    with pytest.raises(RuntimeError, match=r"mul needs.*\(2, 3\).*version 1.*clone"):
        z.sum().backward()


def test_an_optimizer_step_between_forward_and_backward_raises():
    x, w = leaf(4, 3), leaf(3, 2)
    loss = ((x @ w) ** 2).sum()
    with no_grad():
        w -= 0.1 * w.detach()
    with pytest.raises(RuntimeError, match="matmul needs a tensor of shape"):
        loss.backward()


def test_versions_count_changes_and_are_shared_by_views():
    x = leaf(2, 3)
    assert x._version == 0
    with no_grad():
        x.mul_(2.0)
        x[0] = 1.0
        x.reshape(6).zero_()
        x.T.add_(1.0)
    assert x._version == x.detach()._version == 4
    close(x, np.ones((2, 3)))
    assert x.clone()._version == 0


def test_versions_are_forgotten_with_the_memory():
    from dlbook_lib.feedforward.autodiff import engine

    before = len(engine._changes)
    for _ in range(10):
        Tensor(np.zeros(3)).add_(1.0)
    assert len(engine._changes) == before


def test_leaves_that_require_grad_change_only_under_no_grad():
    x = leaf(3)
    for call in (
        lambda: x.add_(1.0),
        lambda: x.zero_(),
        lambda: x.__setitem__(0, 1.0),
        lambda: x.__iadd__(1.0),
    ):
        with pytest.raises(RuntimeError, match=r"leaf that requires grad.*no_grad"):
            call()
    with no_grad():
        x += 1.0
    assert x._version == 1
    assert x.is_leaf
    assert x.requires_grad


def in_place_program(F, x, w):
    """y is used, changed, used, changed, and used."""
    y = x * 2
    a = y + w
    y.mul_(w)
    b = y.sum(0)
    y[0] = w[1] * 3
    y[1] += x[0]
    y.sub_(x)
    buffer = F.cat([w.detach(), w.detach()], 0)
    c = buffer + 1
    buffer[:3] = y
    buffer[3] = w[0]
    return (a * a).sum() + (b * w[2]).sum() + (y * y).sum() + (buffer**2 * c).sum()


def test_changes_in_place_are_differentiated_as_torch_does():
    x, w = leaf(3, 3), leaf(3, 3, seed=1)
    tx, tw = twin(x), twin(w)
    y, ty = in_place_program(F, x, w), in_place_program(TorchInstance, tx, tw)
    close(y, ty)
    firsts = grad(y, [x, w], create_graph=True)
    theirs = torch.autograd.grad(ty, [tx, tw], create_graph=True)
    for g, tg in zip(firsts, theirs, strict=True):
        close(g, tg)
    seconds = grad(sum((g * g).sum() for g in firsts), [x, w])
    theirs = torch.autograd.grad(sum((g * g).sum() for g in theirs), [tx, tw])
    for g, tg in zip(seconds, theirs, strict=True):
        close(g, tg)


def test_a_view_cannot_be_changed_behind_its_owner():
    x = leaf(3, 3)
    y = x * 2
    with pytest.raises(RuntimeError, match=r"view of another.*y\[0\]"):
        y[0].add_(x[0])
    buffer = Tensor(np.zeros((3, 3)))
    with pytest.raises(RuntimeError, match="view of another"):
        buffer.T.copy_(x)
    buffer[0] += x[0]  # in two steps, so it works
    assert buffer.requires_grad


def test_a_view_taken_before_a_recorded_change_is_refused():
    x = leaf(3)
    y = x * 2
    view = y[:2]
    y.mul_(x)
    with pytest.raises(RuntimeError, match="take the view after the change"):
        (view * 3).sum().backward()


def test_a_leaf_over_somebodys_array_may_be_changed():
    w = leaf(3)
    buffer = Tensor(np.zeros(6).reshape(2, 3))
    buffer[0] = w
    buffer[1] = 2 * w
    buffer.sum().backward()
    close(w.grad, np.full(3, 3.0))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda y: y.add_(np.ones((2, 3))), r"\(2, 3\) does not fit"),
        (lambda y: Tensor(np.zeros(3, int)).add_(0.5), "float64.*int64"),
        (lambda y: y.expand(2, 3).detach().add_(1.0), "can only be read"),
        (lambda y: y.__setitem__(5, 1.0), "index 5 is out of bounds"),
        (lambda y: y.__setitem__(0, np.ones(4)), "setitem"),
    ],
)
def test_a_change_that_does_not_fit_is_refused(call, match):
    for y in (leaf(3) * 1, Tensor(np.zeros(3))):
        with pytest.raises((ValueError, IndexError), match=match):
            call(y)


def test_change_is_what_all_methods_use():
    y = Tensor(np.ones(2))
    assert change(y, F.mul, 3.0) is y
    assert y.tolist() == [3.0, 3.0]


# ---- pairs written by hand -----------------------------------------------------------


def affine(x, w, b, scale=1.0):
    return scale * (x @ w) + b


def affine_backward(dy, x, w, b, scale=1.0):
    return scale * dy @ w.T, scale * x.T @ dy, dy.sum(0)


def affine_reference(x, w, b, scale=1.0):
    return scale * (x @ w) + b


def test_a_pair_becomes_an_operation():
    op = register(affine, affine_backward)
    assert op.__name__ == "affine"
    x, w, b = leaf(4, 3), leaf(3, 2, seed=1), leaf(2, seed=2)
    tx, tw, tb = twin(x), twin(w), twin(b)
    y = F.tanh(op(x, w, b=b, scale=2.0)).sum()
    assert [t.op for t in topological_order(y) if t.op] == ["affine", "tanh", "sum"]
    y.backward()
    torch.tanh(2 * (tx @ tw) + tb).sum().backward()
    for ours, theirs in zip((x, w, b), (tx, tw, tb), strict=True):
        close(ours.grad, theirs.grad)
    assert isinstance(op(x.data, w.data, b.data), np.ndarray)
    assert not op(x.detach(), w.data, b.data).requires_grad


def test_only_needed_gradients_of_a_pair_are_used():
    op = register(affine, affine_backward)
    w = leaf(3, 2)
    op(np.ones((4, 3)), w, np.zeros(2)).sum().backward()
    close(w.grad, np.full((3, 2), 4.0))


def test_a_pair_with_targets_and_one_gradient():
    op = register(lambda p, t: ((p - t) ** 2).sum(), lambda dy, p, t: dy * 2 * (p - t))
    x = leaf(3)
    op(x, np.ones(3)).backward()
    close(x.grad, 2 * (x.data - 1))
    with pytest.raises(RuntimeError, match="no gradient for an argument"):
        op(x, leaf(3)).backward()


def test_a_pair_keeps_float32():
    op = register(affine, affine_backward)
    args = [leaf(*s, dtype=np.float32) for s in ((4, 3), (3, 2), (2,))]
    y = op(*args)
    y.sum().backward()
    assert {y.dtype, *(a.grad.dtype for a in args)} == {np.dtype(np.float32)}


def test_a_pair_without_reference_has_no_second_derivative():
    op = register(affine, affine_backward)
    y = op(leaf(4, 3), x := leaf(3, 2), np.zeros(2)).sum()
    with pytest.raises(RuntimeError, match=r"affine: .*reference="):
        grad(y, x, create_graph=True)


def test_what_a_reference_does_not_use_has_the_gradient_zero():
    def weighed(x, w, scale):
        return scale * x if scale else x

    def backward(dy, x, w, scale):
        return (scale or 1) * dy, np.zeros_like(w)

    x, w = leaf(3), leaf(2)
    op = register(weighed, backward, reference=weighed)
    dx, dw = grad((op(x, w, 0) ** 2).sum(), [x, w], create_graph=True)
    close(dw, np.zeros(2))
    close(grad((dx * dx).sum() + dw.sum(), x)[0], 8 * x.data)


@pytest.mark.parametrize("made", [register, fused])
def test_higher_orders_go_through_the_reference(made):
    """Also if one argument was computed from another: neither is counted twice."""

    def kernel(x, w, b, scale=1.0):
        return affine(x, w, b, scale), lambda dy: affine_backward(dy, x, w, b, scale)

    parts = (affine, affine_backward) if made is register else (kernel,)
    op = made(*parts, reference=affine_reference)

    def f(op, F, x, b):
        h = F.tanh(x)
        return F.sin(op(F.exp(h), x * h, b)).sum()

    x, b = leaf(3, 3), leaf(3, seed=1)
    tx, tb = twin(x), twin(b)
    first = grad(f(op, F, x, b), [x, b], create_graph=True)
    tfirst = torch.autograd.grad(
        f(affine_reference, TorchInstance, tx, tb), [tx, tb], create_graph=True
    )
    second = grad(sum((g * g).sum() for g in first), [x, b], create_graph=True)
    tsecond = torch.autograd.grad(
        sum((g * g).sum() for g in tfirst), [tx, tb], create_graph=True
    )
    third = grad(sum((g**3).sum() for g in second), [x, b])
    tthird = torch.autograd.grad(sum((g**3).sum() for g in tsecond), [tx, tb])
    pairs = zip((*first, *second, *third), (*tfirst, *tsecond, *tthird), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours.data, theirs.detach(), 1e-9, 1e-9)


def test_a_kernel_runs_once_and_its_pull_again_if_the_graph_is_retained():
    calls = []

    def kernel(x):
        calls.append("forward")
        y = np.exp(x)
        return y, lambda dy: (calls.append("backward"), dy * y)[1]

    x = leaf(3)
    y = fused(kernel)(x).sum()
    y.backward(retain_graph=True)
    y.backward()
    close(x.grad, 2 * np.exp(x.data))
    assert calls == ["forward", "backward", "backward"]


def test_what_a_pair_saved_is_protected_too():
    x = leaf(3)
    y = x * 1
    z = register(lambda x: x**2, lambda dy, x: 2 * dy * x)(y)
    y.zero_()
    with pytest.raises(RuntimeError, match="changed in place"):
        z.sum().backward()


# ---- new primitives ------------------------------------------------------------------


def test_a_primitive_takes_a_joint_rule():
    both = primitive(
        lambda a, b: a * b, joint=lambda g, _y, a, b: (g * b, g * a), name="both"
    )
    a, b = leaf(3), leaf(3, seed=1)
    both(a, b).sum().backward()
    close(a.grad, b.data)
    close(b.grad, a.data)
    close(grad(both(a, 2.0).sum(), a)[0], np.full(3, 2.0))


def test_an_argument_without_a_rule_is_not_lost_in_silence():
    half = primitive(np.multiply, lambda g, _y, _a, b: g * b, None, name="half")
    half(leaf(3), np.ones(3)).sum().backward()
    with pytest.raises(TypeError, match="half: argument 1 has no gradient"):
        half(leaf(3), leaf(3))


def test_a_rule_with_a_wrong_shape_is_named():
    wrong = primitive(np.copy, lambda g, _y, _x: g.sum(), name="wrong")
    for run in (lambda x: wrong(x).sum().backward(), lambda x: grad(wrong(x).sum(), x)):
        with pytest.raises(ValueError, match=r"gradient of shape \(\).*\(3,\)"):
            run(leaf(3))


def test_importing_the_engine_is_quick_and_needs_no_torch():
    code = """
import time, numpy, dlbook_lib.common.checks
start = time.process_time()
import dlbook_lib.feedforward.autodiff.modules
took = time.process_time() - start
import sys
assert not any("torch" == name.split(".")[0] for name in sys.modules)
print(took)
"""
    runs = [
        float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3)
    ]
    assert min(runs) < 0.1
