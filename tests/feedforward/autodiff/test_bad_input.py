"""Bad calls of the engine, its operations and modules end in a sentence."""

import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff import operations as F
from dlbook_lib.feedforward.autodiff.engine import (
    Tensor,
    grad,
    primitive,
    tensor,
)
from dlbook_lib.feedforward.autodiff.modules import (
    SGD,
    CrossEntropyLoss,
    Linear,
    MSELoss,
    Sequential,
)


def leaf(*shape):
    return Tensor(numpy_generator(0).standard_normal(shape), requires_grad=True)


def both(call, match, error=ValueError):
    """The call is refused with a recorded Tensor, with an unrecorded, with an array."""
    return [
        pytest.param(call, make, match, error, id=f"{match}-{kind}")
        for kind, make in {
            "recorded": leaf,
            "unrecorded": lambda *s: leaf(*s).detach(),
            "array": lambda *s: leaf(*s).data,
        }.items()
    ]


REFUSED = [
    *both(
        lambda x: F.add(x(2, 3), x(4)), r"^add: .*\(2, 3\).*\(4,\).*counted from the"
    ),
    *both(
        lambda x: F.mul(x(2, 3), x(2)), r"^mul: .*\(2, 3\).*\(2,\).*counted from the"
    ),
    *both(lambda x: F.pow(x(2), x(3)), r"^pow: .*\(2,\).*\(3,\)"),
    *both(lambda x: F.maximum(x(2), x(3)), r"^maximum: .*\(2,\).*\(3,\)"),
    *both(lambda x: F.where(np.ones(2) > 0, x(3), 0.0), r"^where: .*\(2,\).*\(3,\)"),
    *both(lambda x: F.add(x(2), "a"), r"^add: .*'a'.*numbers", TypeError),
    *both(lambda x: F.mul(x(2), None), r"^mul: .*None", TypeError),
    *both(lambda x: F.matmul(x(2, 3), x(2, 3)), r"^matmul: \(2, 3\) and \(2, 3\)"),
    *both(lambda x: F.matmul(x(3), x(4, 3)), r"^matmul: \(3,\) and \(4, 3\).*chain"),
    *both(lambda x: F.matmul(x(), x(3)), r"^matmul: \(\) and \(3,\)"),
    *both(lambda x: F.matmul(x(2, 3, 4), x(3, 4, 5)), r"^matmul: .*\(3, 4, 5\)"),
    *both(lambda x: F.linear(x(2, 3), x(3, 4)), r"^linear: .*\(2, 3\).*\(3, 4\)"),
    *both(lambda x: F.linear(x(2, 3), x(4, 3), x(1)), r"^linear: .*bias \(1,\)"),
    *both(lambda x: F.linear(x(2, 3), x(3)), r"^linear: .*weight \(3,\)"),
    *both(lambda x: F.outer(x(2, 3), x(3)), r"^outer: .*two vectors, not \(2, 3\)"),
    *both(lambda x: F.sum(x(2, 3), 2), r"^sum: dim must lie between -2 and 1.*not 2"),
    *both(lambda x: F.mean(x(2, 3), (0, -2)), r"^mean: dim \(0, -2\) names.*twice"),
    *both(lambda x: F.amax(x(2, 3), 1.0), r"^amax: dim.*whole number", TypeError),
    *both(lambda x: F.amin(x(2, 3), True), r"^amin: dim.*whole number", TypeError),
    *both(lambda x: F.amax(x(0, 3), 0), r"^amax: .*\(0, 3\)"),
    *both(lambda x: F.max(x(0, 3), 0), r"^max: dim 0 of \(0, 3\) is empty"),
    *both(lambda x: F.max(x(2, 3), (0, 1)), r"^max: dim must be one", TypeError),
    *both(lambda x: F.min(x(2, 3), 5), r"^min: dim must lie"),
    *both(lambda x: F.softmax(x(2, 3), 2), r"^softmax: dim must lie"),
    *both(lambda x: F.log_softmax(x(2), "1"), r"^log_softmax: dim", TypeError),
    *both(lambda x: F.logsumexp(x(2), -3), r"^logsumexp: dim must lie"),
    *both(lambda x: F.cumsum(x(2), 1), r"^cumsum: dim must lie"),
    *both(lambda x: F.cumsum(x(2), None), r"^cumsum: dim must be one", TypeError),
    *both(lambda x: F.flip(x(2), (1,)), r"^flip: dim must lie"),
    *both(lambda x: F.var(x(2), 1), r"^var: dim must lie"),
    *both(lambda x: F.std(x(2), 1), r"^std: dim must lie"),
    *both(lambda x: F.prod(x(2), 1), r"^prod: dim must lie"),
    *both(lambda x: F.reshape(x(2, 3), (4, 2)), r"^reshape: .*\(2, 3\).*\(4, 2\)"),
    *both(lambda x: F.reshape(x(2, 3), (-1, -1)), r"^reshape: "),
    *both(lambda x: F.permute(x(2, 3), (0,)), r"^permute: .*every dimension"),
    *both(lambda x: F.permute(x(2, 3), (0, 0)), r"^permute: .*twice"),
    *both(lambda x: F.transpose(x(2, 3), 0, 2), r"^transpose: dim must lie"),
    *both(lambda x: F.flatten(x(2, 3), 1, 0), r"^flatten: start_dim 1 comes after"),
    *both(lambda x: F.squeeze(x(2, 3), 2), r"^squeeze: dim must lie"),
    *both(lambda x: F.unsqueeze(x(2, 3), 3), r"^unsqueeze: dim must lie between -3"),
    *both(lambda x: F.unsqueeze(x(2, 3), 0.5), r"^unsqueeze: dim must lie"),
    *both(lambda x: F.expand(x(2, 3), 4, 3), r"^expand: .*\(2, 3\).*\(4, 3\)"),
    *both(lambda x: F.cat([x(2, 3), x(3, 2)], 0), r"^cat: .*\(2, 3\).*\(3, 2\)"),
    *both(lambda x: F.cat([x(2, 3)], 2), r"^cat: dim must lie"),
    *both(lambda x: F.cat([], 0), r"^cat: there is nothing to join"),
    *both(lambda x: F.cat([x()], 0), r"^cat: .*try stack"),
    *both(lambda x: F.stack([x(2), x(3)]), r"^stack: .*one shape.*\(2,\), \(3,\)"),
    *both(lambda x: F.stack([]), r"^stack: .*one shape"),
    *both(lambda x: F.stack([x(2)], 3), r"^unsqueeze: dim must lie"),
    *both(lambda x: F.getitem(x(2, 3), 2), r"^getitem: .*index 2 is out", IndexError),
    *both(lambda x: F.getitem(x(2), (0, 0)), r"^getitem: .*too many", IndexError),
    *both(lambda x: F.getitem(x(2), "a"), r"^getitem: ", IndexError),
    *both(lambda x: F.getitem(x(2), [0.5]), r"^getitem: ", IndexError),
    *both(
        lambda x: F.getitem(x(3), np.array([True, False])),
        r"^getitem: .*boolean",
        IndexError,
    ),
    *both(
        lambda x: F.gather(x(2, 3), 0, np.array([0])),
        r"^gather: index has shape \(1,\)",
    ),
    *both(
        lambda x: F.gather(x(2, 3), 0, np.array([[5]])), r"^getitem: .*5", IndexError
    ),
    *both(lambda x: F.clamp(x(2), min="a"), r"^clamp: ", TypeError),
    *both(lambda x: F.einsum("ij,jk->ik", x(2, 3), x(2, 3)), r"^einsum: .*\(2, 3\)"),
    *both(lambda x: F.einsum("ij->i", x(2)), r"^einsum: .*does not fit.*\(2,\)"),
    *both(lambda x: F.einsum("ij->i", x(2, 3), x(2)), r"^einsum: .*does not fit"),
    *both(lambda x: F.einsum("ii->i", x(2, 2)), r"^einsum: 'ii->i' is not understood"),
    *both(lambda x: F.einsum("i->j", x(2)), r"^einsum: 'i->j' is not understood"),
    *both(lambda x: F.einsum("...i->i", x(2)), r"^einsum: .*not understood"),
    *both(lambda x: F.mse_loss(x(2, 1), x(2)), r"^mse_loss: .*\(2, 1\).*\(2,\)"),
    *both(lambda x: F.mse_loss(x(2), x(2), "avg"), r"^mse_loss: reduction.*'avg'"),
    *both(lambda x: F.mse_loss(x(0), x(0)), r"^mse_loss: .*no mean of an empty"),
    *both(lambda x: F.cross_entropy(x(2, 3), [0, 3]), r"^cross_entropy: .*label 3"),
    *both(lambda x: F.cross_entropy(x(2, 3), [0, -1]), r"^cross_entropy: .*label -1"),
    *both(
        lambda x: F.cross_entropy(x(2, 3), [0.0, 1.0]),
        r"^cross_entropy: .*integer class labels",
        TypeError,
    ),
    *both(lambda x: F.cross_entropy(x(2, 3), [0]), r"^cross_entropy: .*\(1,\)"),
    *both(lambda x: F.cross_entropy(x(2, 3), [[0, 1]]), r"^cross_entropy: .*\(1, 2\)"),
    *both(
        lambda x: F.cross_entropy(x(2, 3), [0, 1], "avg"), r"^cross_entropy: .*'avg'"
    ),
    *both(lambda x: F.cross_entropy(x(0, 3), np.zeros(0, int)), r"^cross_entropy: "),
    *both(lambda x: F.cross_entropy(x(), 0), r"^cross_entropy: input is one number"),
]


@pytest.mark.parametrize(("call", "make", "match", "error"), REFUSED)
def test_operations_say_what_is_wrong(call, make, match, error):
    with pytest.raises(error, match=match) as fault:
        call(make)
    assert type(fault.value) in (ValueError, TypeError, IndexError)
    assert fault.value.__suppress_context__ or fault.value.__context__ is None


LISTS = {
    **{f: lambda f=f: f([1.0, 2.0]) for f in (F.sum, F.mean, F.amax, F.prod, F.var)},
    **{f: lambda f=f: f([1.0, 2.0], 0) for f in (F.softmax, F.cumsum, F.flip, F.max)},
    F.squeeze: lambda: F.squeeze([[1.0]]),
    F.flatten: lambda: F.flatten([[1.0]]),
    F.unsqueeze: lambda: F.unsqueeze([1.0], 0),
    F.expand: lambda: F.expand([1.0], 2),
    F.transpose: lambda: F.transpose([[1.0]], 0, 1),
    F.linear: lambda: F.linear([[1.0]], leaf(1, 1)),
    F.cat: lambda: F.cat([[1.0], [2.0]]),
    F.stack: lambda: F.stack([[1.0], [2.0]]),
    F.gather: lambda: F.gather([1.0], 0, np.array([0])),
    F.mse_loss: lambda: F.mse_loss([1.0], [1.0]),
    F.cross_entropy: lambda: F.cross_entropy([[1.0]], [0]),
    F.einsum: lambda: F.einsum("i->", [1.0]),
    F.sigmoid: lambda: F.sigmoid([1.0]),
}


@pytest.mark.parametrize("call", LISTS.values(), ids=[f.__name__ for f in LISTS])
def test_lists_are_refused_with_a_sentence(call):
    with pytest.raises(TypeError, match=r"^\w+: .*(Tensor|array)"):
        call()


@pytest.mark.parametrize(
    ("call", "match", "error"),
    [
        (lambda: Tensor([1, 2], requires_grad=True), "int64.*dtype=float", TypeError),
        (lambda: Tensor([1, 2]).requires_grad_(), "floating-point.*int64", TypeError),
        (lambda: tensor([True], requires_grad=True), "bool", TypeError),
        (lambda: Tensor("text"), "tensor: it holds numbers", TypeError),
        (lambda: Tensor([[1.0], [1.0, 2.0]]), "tensor: this is no array", ValueError),
        (lambda: Tensor(None), "tensor: it holds numbers, not object", TypeError),
        (lambda: Tensor(np.array(["a"])), "tensor: it holds numbers", TypeError),
        (lambda: Tensor(1.0, dtype="nonsense"), "tensor: ", TypeError),
        (lambda: leaf(2).item(), r"\(2,\) is not one number", ValueError),
        (lambda: bool(leaf(2)), r"\(2,\) is not one number", ValueError),
        (lambda: len(leaf()), "no length", TypeError),
        (lambda: leaf(2).backward(), r"backward: .*\(2,\).*sum it", ValueError),
        (lambda: (leaf(2) * 2).backward(np.ones(3)), r"\(3,\).*\(2,\)", ValueError),
        (lambda: (leaf(2) * 2).backward(1.0), r"shape \(\).*\(2,\)", ValueError),
        (lambda: (leaf(2) * 2).backward("a"), "array of numb", ValueError),
        (lambda: Tensor(1.0).backward(), "backward: .*requires grad", RuntimeError),
        (lambda: grad(Tensor(1.0), leaf()), "grad: .*requires grad", RuntimeError),
        (lambda: grad(leaf(2) * 2, leaf(2)), r"grad: .*\(2,\)", ValueError),
        (lambda: grad(leaf(), [np.ones(2)]), "grad: inputs must be", TypeError),
        (lambda: grad(1.0, leaf()), "grad: outputs must be", TypeError),
        (lambda: grad(leaf(), None), "grad: inputs must be", TypeError),
        (lambda: grad([leaf()], leaf(), [None, None]), "1 outputs but 2", ValueError),
        (lambda: leaf(2).numpy(), r"\.detach\(\)\.numpy\(\)", RuntimeError),
        (lambda: F.clamp(leaf(2), min=leaf(2)), "clamp", TypeError),
        (lambda: primitive(1.0), "primitive: .*function", TypeError),
        (lambda: Linear(0, 2, rng=numpy_generator(0)), "in_features", ValueError),
        (lambda: Linear(2, 2.0, rng=numpy_generator(0)), "out_features", TypeError),
        (lambda: Linear(2, 2, rng=0), "rng must be a numpy", TypeError),
        (lambda: Linear(2, 2, rng=numpy_generator(0))(leaf(3)), "linear", ValueError),
        (lambda: Sequential(F.relu), "no Module", TypeError),
        (lambda: SGD([]), "params is empty", ValueError),
        (lambda: SGD([leaf(2)], lr=0.0), "lr must be", ValueError),
        (lambda: SGD([leaf(2)], momentum=-1.0), "momentum must", ValueError),
        (lambda: SGD([leaf(2)], weight_decay=float("nan")), "weight_decay", ValueError),
        (lambda: SGD([np.ones(2)]), "params must be", TypeError),
        (lambda: MSELoss("avg"), "reduction", ValueError),
        (lambda: CrossEntropyLoss("avg"), "reduction", ValueError),
    ],
)
def test_the_engine_says_what_is_wrong(call, match, error):
    with pytest.raises(error, match=match):
        call()


NUMPYS_OWN = re.compile("operands could not|axis .* out of bounds for array|ufunc")
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, max_side=3)


def sentence(call):
    """Whether the call is refused, and in the book's words."""
    try:
        call()
    except (ValueError, TypeError, IndexError) as fault:
        text = str(fault)
    else:
        return False
    assert re.match(r"\w+: .{15}", text), text
    assert not NUMPYS_OWN.search(text), text
    return True


@given(
    a=SHAPES, b=SHAPES, name=st.sampled_from(["add", "sub", "mul", "div", "maximum"])
)
def test_what_numpy_does_not_broadcast_is_refused(a, b, name):
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        assert sentence(lambda: getattr(F, name)(leaf(*a), leaf(*b)))
    else:
        assert not sentence(lambda: getattr(F, name)(leaf(*a), leaf(*b)))


@given(a=SHAPES, b=SHAPES)
def test_what_numpy_does_not_multiply_is_refused(a, b):
    try:
        np.ones(a) @ np.ones(b)
    except ValueError:
        assert sentence(lambda: leaf(*a) @ leaf(*b))
    else:
        assert not sentence(lambda: leaf(*a) @ leaf(*b))


DIM = [
    *("sum", "mean", "var", "std", "prod", "amax", "amin", "max", "min", "logsumexp"),
    *("softmax", "log_softmax", "flip", "cumsum", "squeeze"),
]


@given(shape=SHAPES, dim=st.integers(-6, 6), name=st.sampled_from(DIM))
def test_a_dim_that_is_not_there_is_refused(shape, dim, name):
    reach = max(len(shape), 1)
    there = -reach <= dim < reach
    assert there is not sentence(lambda: getattr(F, name)(leaf(*shape), dim))


@given(shape=SHAPES, other=SHAPES)
def test_a_gradient_of_another_shape_is_refused(shape, other):
    assume(shape != other)
    y = leaf(*shape) * 2
    assert sentence(lambda: y.backward(np.ones(other)))
    assert sentence(lambda: grad(y, y, np.ones(other)))


@given(shape=SHAPES, value=SHAPES)
def test_a_value_that_does_not_fit_its_place_is_refused(shape, value):
    """In the shape of a Tensor, in place and by assignment, and nothing has changed."""
    fits = True
    try:
        fits = np.broadcast_shapes(shape, value) == shape
    except ValueError:
        fits = False
    for change in (Tensor.add_, Tensor.mul_, Tensor.copy_):
        for y in (leaf(*shape) * 1, leaf(*shape).detach()):
            before = y.data.copy()
            refused = sentence(lambda y=y, c=change: c(y, leaf(*value).data))
            assert refused is not fits
            assert fits or np.array_equal(y.data, before)
