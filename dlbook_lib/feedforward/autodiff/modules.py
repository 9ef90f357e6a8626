"""Networks as objects: parameters with names, spelled as in `torch.nn`."""

import numpy as np

from dlbook_lib.common.checks import (
    check_in,
    check_positive,
    check_rng,
    require,
)
from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import Tensor, no_grad


class Parameter(Tensor):
    """A Tensor (...) that a `Module` owns and an optimiser changes.

    >>> Parameter(np.zeros(2))
    Parameter(tensor([0., 0.], requires_grad=True))
    """

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(data, requires_grad)

    def __repr__(self):
        return f"Parameter({super().__repr__()})"


class Buffer(Tensor):
    """A Tensor (...) that a `Module` keeps beside its parameters and no gradient moves.

    Running means are such, and tables of positions: they are stored with the module.

    >>> Buffer(np.zeros(2))
    Buffer(tensor([0., 0.]))
    """

    __slots__ = ()

    def __init__(self, data):
        super().__init__(data)

    def __repr__(self):
        return f"Buffer({super().__repr__()})"


class Module:
    """A function with parameters; what is assigned to it by name belongs to it.

    >>> class Scale(Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = Parameter(np.array(2.0))
    ...     def forward(self, input):
    ...         return self.factor * input
    >>> scale = Scale()
    >>> scale(np.ones(2)).tolist(), list(scale.state_dict())
    ([2.0, 2.0], ['factor'])
    """

    training = True

    def forward(self, *input):
        """What the module computes; a subclass says it."""
        raise NotImplementedError(f"{type(self).__name__} has no forward; write one")

    def __call__(self, *input, **options):
        return self.forward(*input, **options)

    def _own(self, kind):
        return {k: v for k, v in vars(self).items() if isinstance(v, kind)}

    def named_children(self):
        """Pairs of a name and a module, directly below this one."""
        return self._own(Module).items()

    def named_modules(self, prefix="", remove_duplicate=True):
        """This module and all below it, with dotted names; each once, or as often as
        it has a name."""
        seen, todo = set(), [(prefix, self)]
        while todo:
            path, module = todo.pop()
            if module in seen and remove_duplicate:
                continue
            seen.add(module)
            yield path, module
            dot = f"{path}." if path else ""
            children = [(dot + name, m) for name, m in module.named_children()]
            todo += reversed(children)

    def _named(self, kinds, remove_duplicate=True):
        """Pairs of a dotted name and a Tensor of one of the `kinds`, by module."""
        seen = set()
        for path, module in self.named_modules(remove_duplicate=remove_duplicate):
            dot = f"{path}." if path else ""
            for name, tensor in [p for k in kinds for p in module._own(k).items()]:
                if tensor not in seen or not remove_duplicate:
                    seen.add(tensor)
                    yield dot + name, tensor

    def named_parameters(self, remove_duplicate=True):
        """Pairs of a dotted name and a Parameter; each once, or for every name."""
        return self._named((Parameter,), remove_duplicate)

    def named_buffers(self, remove_duplicate=True):
        """Pairs of a dotted name and a Buffer; each once, or for every name."""
        return self._named((Buffer,), remove_duplicate)

    def parameters(self):
        """All parameters, in the order in which they were assigned."""
        for _, parameter in self.named_parameters():
            yield parameter

    def buffers(self):
        """All buffers, in the order in which they were assigned."""
        for _, buffer in self.named_buffers():
            yield buffer

    def train(self, mode=True):
        """Set `training` here and below, for layers that behave otherwise in use."""
        for _, module in self.named_modules():
            module.training = mode
        return self

    def eval(self):
        """The same as ``train(False)``."""
        return self.train(False)

    def zero_grad(self):
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def state_dict(self):
        """The arrays (...) of all parameters and buffers by name, not copied."""
        named = self._named((Parameter, Buffer), remove_duplicate=False)
        return {name: tensor.data for name, tensor in named}

    def load_state_dict(self, state_dict, strict=True):
        """Copy arrays (...) by name into parameters and buffers, also from torch's.

        Raises
        ------
        RuntimeError
            If a shape differs or, with `strict`, a name is missing or unknown.
        """
        own = dict(self._named((Parameter, Buffer), remove_duplicate=False))
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        faults = []
        if strict and missing:
            faults.append(f"missing {', '.join(missing)}")
        if strict and unexpected:
            faults.append(f"unexpected {', '.join(unexpected)}")
        for name, p in own.items():
            if name in state_dict and np.shape(state_dict[name]) != p.shape:
                shape = tuple(np.shape(state_dict[name]))
                faults.append(f"{name} has shape {shape} but belongs in {p.shape}")
        if faults:
            raise RuntimeError(
                f"load_state_dict: {'; '.join(faults)}; was the module built with the "
                "same sizes?"
            )
        with no_grad():
            for name, p in own.items():
                if name in state_dict:
                    p.copy_(np.asarray(state_dict[name], p.dtype))

    def extra_repr(self):
        """What stands between the brackets of a layer without children."""
        return ""

    def __repr__(self):
        lines = [
            f"  ({name}): {child!r}".replace("\n", "\n  ")
            for name, child in self.named_children()
        ]
        inside = "\n".join(["", *lines, ""]) if lines else self.extra_repr()
        return f"{type(self).__name__}({inside})"


class Linear(Module):
    r"""x Wᵀ + b, with `weight` (out_features, in_features) and `bias` (out_features,).

    Both start uniform in :math:`\pm1/\sqrt{\text{in\_features}}`, as torch's do.

    >>> layer = Linear(3, 2, rng=np.random.default_rng(0))
    >>> layer, layer(np.ones((4, 3))).shape
    (Linear(in_features=3, out_features=2, bias=True), (4, 2))
    """

    def __init__(self, in_features, out_features, bias=True, *, rng, dtype=float):
        super().__init__()
        check_positive(in_features, "in_features", integer=True)
        check_positive(out_features, "out_features", integer=True)
        check_rng(rng)
        self.in_features, self.out_features = in_features, out_features
        bound = in_features**-0.5
        weight = rng.uniform(-bound, bound, (out_features, in_features))
        self.weight = Parameter(weight.astype(dtype))
        self.bias = None
        if bias:
            self.bias = Parameter(
                rng.uniform(-bound, bound, out_features).astype(dtype)
            )

    def forward(self, input):
        """Outputs (..., out_features) for `input` (..., in_features)."""
        return operations.linear(input, self.weight, self.bias)

    def extra_repr(self):
        """Sizes, as torch prints them."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class ReLU(Module):
    """max(0, x), entry by entry."""

    def forward(self, input):
        """Outputs (...) for `input` (...)."""
        return operations.relu(input)


class Tanh(Module):
    """tanh x, entry by entry."""

    def forward(self, input):
        """Outputs (...) for `input` (...)."""
        return operations.tanh(input)


class Sigmoid(Module):
    """1 / (1 + exp(-x)), entry by entry."""

    def forward(self, input):
        """Outputs (...) for `input` (...)."""
        return operations.sigmoid(input)


class Sequential(Module):
    """Modules one after the other; their names are "0", "1", ….

    >>> rng = np.random.default_rng(0)
    >>> net = Sequential(Linear(2, 3, rng=rng), Tanh(), Linear(3, 1, rng=rng))
    >>> list(net.state_dict())
    ['0.weight', '0.bias', '2.weight', '2.bias']
    """

    def __init__(self, *modules):
        super().__init__()
        for i, module in enumerate(modules):
            require(isinstance(module, Module), f"{module!r} is no Module", TypeError)
            setattr(self, str(i), module)

    def __len__(self):
        return len(self.named_children())

    def __iter__(self):
        return iter(self._own(Module).values())

    def __getitem__(self, index):
        return list(self)[index]

    def forward(self, input):
        """What the last module makes of what the others made of `input` (...)."""
        for module in self:
            input = module(input)
        return input


class MSELoss(Module):
    """The mean squared difference of two tensors (...)."""

    def __init__(self, reduction="mean"):
        check_in(reduction, "reduction", ("mean", "sum", "none"))
        self.reduction = reduction

    def forward(self, input, target):
        """The loss of `input` (...) against `target` (...)."""
        return operations.mse_loss(input, target, self.reduction)


class CrossEntropyLoss(Module):
    """Cross-entropy of scores (N, C, ...) and class indices (N, ...)."""

    def __init__(self, reduction="mean"):
        check_in(reduction, "reduction", ("mean", "sum", "none"))
        self.reduction = reduction

    def forward(self, input, target):
        """The loss of `input` (N, C, ...) against `target` (N, ...)."""
        return operations.cross_entropy(input, target, self.reduction)


class SGD:
    """Gradient descent with momentum and weight decay, as in `torch.optim`.

    Parameters
    ----------
    params : iterable of Tensor (...)
    lr, momentum, weight_decay : float
    """

    def __init__(self, params, lr=1e-3, momentum=0.0, weight_decay=0.0):
        self.params = list(params)
        require(self.params, "params is empty; did you pass module.parameters()?")
        for p in self.params:
            if not isinstance(p, Tensor):
                raise TypeError(f"SGD: params must be Tensors, not {p!r}")
        check_positive(lr, "lr")
        require(
            momentum >= 0, f"momentum must not be negative or NaN, but is {momentum}"
        )
        require(
            weight_decay >= 0,
            f"weight_decay must not be negative or NaN, but is {weight_decay}",
        )
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay
        self.velocity = [None] * len(self.params)

    def zero_grad(self):
        """Forget the gradients."""
        for p in self.params:
            p.grad = None

    def step(self):
        """Change every parameter (...) that has a gradient."""
        with no_grad():
            for i, p in enumerate(self.params):
                if p.grad is None:
                    continue
                d = p.grad.data
                if self.weight_decay:
                    d = d + self.weight_decay * p.data
                if self.momentum:
                    v = self.velocity[i]
                    self.velocity[i] = d = d if v is None else self.momentum * v + d
                p.sub_(self.lr * d)
