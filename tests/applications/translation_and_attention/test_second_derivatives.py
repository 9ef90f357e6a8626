"""Second derivatives through attention equal torch's, for every option."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from dlbook_lib.applications.translation_and_attention import layers_pytorch
from dlbook_lib.applications.translation_and_attention import pytorch as twin
from dlbook_lib.applications.translation_and_attention import (
    second_derivatives as twice,
)
from dlbook_lib.applications.translation_and_attention.layers import (
    AdditiveAttention,
    MultiheadAttention,
)
from dlbook_lib.applications.translation_and_attention.scratch import padding_mask
from dlbook_lib.common.rng import numpy_generator
from dlbook_lib.feedforward.autodiff.engine import grad, tensor
from tests.feedforward.twice import leaves, same_twice

# Where a query sees nothing y is 0, and so is the gradient of y²; that of (y + 1)² not.
sizes = st.integers(1, 3)
kinds = st.sampled_from(["hidden", "bool", "float", "none"])


@pytest.fixture(autouse=True)
def no_warning():
    with np.errstate(all="raise", under="ignore"):
        yield


@st.composite
def cases(draw):
    """Queries, keys, values, and a mask, with rows that may look nowhere among it."""
    rng, kind = numpy_generator(draw(st.integers(0, 999))), draw(kinds)
    batch = draw(st.lists(st.integers(0, 2), max_size=1))
    length, source, e, ev = draw(st.tuples(*[sizes] * 4))
    source = draw(st.sampled_from([source] * 5 + [0]))
    shapes = (length, e), (source, e), (source, ev)
    arrays = [rng.normal(size=(*batch, *shape)) for shape in shapes]
    mask = rng.normal(size=draw(st.sampled_from([(length, source), (1, source)])))
    if kind == "hidden":
        mask = np.where(mask > 0, mask, -np.inf)
        mask[0] = -np.inf
    mask[0] -= 9 * (kind == "bool")
    return *arrays, {"none": None, "bool": mask > 0}.get(kind, mask)


def with_mask(arrays, mask):
    """Leaves of the arrays (...) and of the mask, if that holds numbers; and masks."""
    if mask is None or mask.dtype == bool:
        given = mask if mask is None else torch.tensor(mask)
        return *leaves(arrays), mask, given
    ours, theirs = leaves([*arrays, mask])
    return ours, theirs, ours[-1], theirs[-1]


@given(cases())
def test_weights_of_masked_scores(case):
    query, key, _, mask = case
    a, b, ours, theirs = with_mask([query @ key.swapaxes(-1, -2)], mask)
    y, z = twice.masked_softmax(a[0], ours), twin.masked_softmax(b[0], theirs)
    same_twice(y + 1.0, z + 1, a, b)


@given(cases(), st.booleans(), st.sampled_from([None, 1.0, -0.5]))
def test_scaled_products(case, is_causal, scale):
    *arrays, mask = case
    a, b, ours, theirs = with_mask(arrays, None if is_causal else mask)
    options = 0.0, is_causal, scale
    y = twice.scaled_dot_product_attention(*a[:3], ours, *options)
    q, k, v, mask, scale = twin.attention_inputs(*b[:3], theirs, is_causal, scale)
    scores = (q * scale) @ k.mT  # torch's own has no second derivative everywhere
    same_twice(y + 1.0, twin.attend(scores, v, mask) + 1, a, b)


@given(cases(), st.booleans(), st.sampled_from([None, -0.5]))
def test_the_kernel_by_tiles(case, is_causal, scale):
    *arrays, _ = case
    a, b = leaves(arrays)
    y = twice.attention_keys_by_queries(*a, is_causal, scale)
    q, k, v, mask, scale = twin.attention_inputs(*b, None, is_causal, scale)
    same_twice(y + 1.0, twin.attend((q * scale) @ k.mT, v, mask) + 1, a, b)


@given(cases())
def test_plain_products_and_the_mean_of_values(case):
    query, key, value, mask = case
    a, b, ours, theirs = with_mask([query, key, value], mask)
    y = twice.dot_product_attention(*a[:3], ours)
    same_twice(y + 1.0, twin.attend(b[0] @ b[1].mT, b[2], theirs) + 1, a, b)
    scores = query @ key.swapaxes(-1, -2)
    a, b, ours, theirs = with_mask([scores, value], mask)
    y = twice.attend(*a[:2], ours)
    same_twice(y + 1.0, twin.attend(*b[:2], theirs) + 1, a, b)


@given(cases(), sizes)
def test_additive_scores(case, hidden):
    query, key, *_ = case
    rng, e = numpy_generator(hidden), query.shape[-1]
    weights = [rng.normal(size=s) for s in ((hidden, e), (hidden, e), hidden)]
    a, b = leaves([query, key, *weights])
    same_twice(twice.additive_scores(*a), twin.additive_scores(*b), a, b)


@pytest.mark.parametrize("kind", ["none", "bool", "float"])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("heads", [1, 2])
def test_heads_side_by_side(heads, biased, kind):
    rng, e, length, source = numpy_generator(heads), heads * 2, 2, 3
    shapes = (2, length, e), (2, source, 3), (2, source, 5)
    shapes += (e, e), (e, 3), (e, 5), (e, e), (3 * e,), (e,)
    arrays = [rng.normal(size=s) for s in shapes]
    if not biased:
        arrays[7:] = None, None
    mask = rng.normal(size=(length, source))
    mask = {"none": None, "bool": mask > -0.5}.get(kind, mask)
    a, b, ours, theirs = with_mask(arrays, mask)
    y = twice.multi_head_attention(*a[:9], heads, ours)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        same_twice(y, twin.multi_head_attention(*b[:9], heads, theirs), a, b)


def parameters_of(ours, theirs):
    """Those of two modules, after ours got the numbers of theirs; in torch's order."""
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    own = dict(ours.named_parameters())
    names = [name for name, _ in theirs.named_parameters()]
    return [own[name] for name in names], list(theirs.parameters())


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("options", [{}, {"kdim": 3, "vdim": 5}, {"bias": False}])
@pytest.mark.parametrize("masked", ["no", "padding", "both"])
def test_multihead_attention(options, need_weights, masked):
    rng = numpy_generator(0)
    ours = MultiheadAttention(4, 2, **options, rng=rng)
    theirs = torch.nn.MultiheadAttention(4, 2, **options, dtype=torch.float64)
    for p in theirs.parameters():
        p.data = torch.tensor(rng.normal(size=p.shape))
    p, q = parameters_of(ours, theirs)
    sizes = (2, 3, 4), (5, 3, options.get("kdim", 4)), (5, 3, options.get("vdim", 4))
    a, b = leaves([rng.normal(size=s) for s in sizes])
    masks = {} if masked == "no" else {"key_padding_mask": padding_mask([5, 2, 1])}
    if masked == "both":
        masks["attn_mask"] = rng.random((2, 5)) < 0.2
        masks["attn_mask"][:, 0] = False
    told = {k: torch.tensor(m) for k, m in masks.items()}
    y, w = ours(*a, **masks, need_weights=need_weights)
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        z, u = theirs(*b, **told, need_weights=need_weights)
        if need_weights:
            y, z = y.sum() + (w * w).sum(), z.sum() + (u * u).sum()
        same_twice(y, z, [*a, *p], [*b, *q])


def test_what_dropout_left_is_differentiated_twice():
    rng = numpy_generator(0)
    x, first = rng.normal(size=(2, 5, 4)), numpy_generator(3)
    layer = MultiheadAttention(4, 2, 0.5, batch_first=True, rng=first)
    y, w = layer(x, x, x, average_attn_weights=False)
    before = layer.eval()(x, x, x, average_attn_weights=False)[1].data
    kept = torch.tensor(np.where(w.data == 0, 0, w.data / before))
    names = "in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"
    p = [dict(layer.named_parameters())[name] for name in names]
    q = [torch.tensor(each.data, requires_grad=True) for each in p]
    parts = functional.linear(torch.tensor(x), *q[:2]).chunk(3, -1)
    queries, keys, values = (twin.split_heads(part, 2) for part in parts)
    weights = (queries @ keys.mT / 2**0.5).softmax(-1) * kept
    z = functional.linear(twin.merge_heads(weights @ values), *q[2:])
    same_twice(y, z, p, q)


def test_additive_attention():
    rng = numpy_generator(0)
    ours = AdditiveAttention(3, 4, 6, rng=rng)
    theirs = layers_pytorch.AdditiveAttention(3, 4, 6, rng=torch.Generator())
    p, q = parameters_of(ours, theirs)
    a, b = leaves([rng.normal(size=s) for s in ((2, 3, 3), (2, 5, 4), (2, 5, 2))])
    mask = ~padding_mask([5, 3])[:, None]
    (y, w), (z, u) = ours(*a, mask), theirs(*b, torch.tensor(mask))
    same_twice(y.sum() + (w * w).sum(), z.sum() + (u * u).sum(), [*a, *p], [*b, *q])


def test_float32_stays_float32_whatever_the_mask_is():
    rng = numpy_generator(0)
    x = tensor(rng.normal(size=(3, 2)).astype("f4"), requires_grad=True)
    for mask in (None, np.tri(3, dtype=bool), np.zeros((3, 3))):
        y = twice.scaled_dot_product_attention(x, x, x, attn_mask=mask)
        (first,) = grad((y * y).sum(), x, create_graph=True)
        todo, seen = [first], {id(first)}
        for node in todo:
            assert node.dtype == "f4"  # on the whole way
            new = {id(t): t for t in node.parents if id(t) not in seen}
            todo += new.values()
            seen |= new.keys()
        assert len(todo) > 9
        assert grad((first * first).sum(), x)[0].dtype == "f4"
