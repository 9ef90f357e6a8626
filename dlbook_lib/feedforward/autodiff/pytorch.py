"""The steps in PyTorch, whose engine is autograd: the same names, its own graph.

`jacobian`, `hessian` and `hvp` are torch's. A `Scalar` is a tensor without axes, whose
graph torch keeps; `Dual` is forward mode, `torch.func.jvp`; a symbolic derivative is a
function made from a function, `torch.func.grad`.
"""

import torch
from torch.autograd.functional import hessian, hvp, jacobian

__all__ = [
    "Dual",
    "Scalar",
    "conjugate_gradient",
    "evaluate",
    "hessian",
    "hvp",
    "jacobian",
    "lanczos",
    "parents_first",
    "recursive_derivative",
    "scalar_backward",
    "symbolic_grad",
]


class Scalar:
    """As in scratch: a tensor () of float64 that keeps its gradient."""

    def __init__(self, value, op="", parents=(), local=()):
        self.tensor = torch.as_tensor(value, dtype=torch.float64)
        if not parents:
            self.tensor.requires_grad_()
        self.tensor.retain_grad()
        self.op, self.parents, self.local = op, parents, local

    @property
    def value(self):
        """The number."""
        return self.tensor.item()

    @property
    def grad(self):
        """The derivative of the output with respect to it, after `scalar_backward`."""
        return 0.0 if self.tensor.grad is None else self.tensor.grad.item()

    def __add__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        parents = (self, other)
        return Scalar(self.tensor + other.tensor, "+", parents, (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        local = (other.value, self.value)
        return Scalar(self.tensor * other.tensor, "×", (self, other), local)

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        """As in scratch."""
        value = self.tensor.exp()
        return Scalar(value, "exp", (self,), (value.item(),))

    def log(self):
        """As in scratch."""
        return Scalar(self.tensor.log(), "log", (self,), (1 / self.value,))


def parents_first(output):
    """As in scratch; for a tensor (...), the nodes of torch's own graph."""
    if isinstance(output, torch.Tensor):
        output = output.grad_fn
    order, seen, stack = [], set(), [(output, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            parents = getattr(node, "parents", None)
            if parents is None:
                parents = [fn for fn, _ in node.next_functions if fn is not None]
            stack.extend((parent, False) for parent in parents)
    return order


def scalar_backward(output):
    """As in scratch, by torch: gradients of old are dropped, then `backward`."""
    for node in parents_first(output):
        node.tensor.grad = None
    output.tensor.backward(retain_graph=True)


def recursive_derivative(output, input):
    """As in scratch, walking torch's graph of numbers () edge by edge."""

    def walk(function, slope):
        if getattr(function, "variable", None) is not None:  # a tensor that was given
            return (slope if function.variable is input.tensor else 0 * slope), 1
        total, paths = torch.zeros_like(slope), 0
        slopes = function(slope)
        slopes = slopes if isinstance(slopes, tuple) else (slopes,)
        for (parent, _), down in zip(function.next_functions, slopes, strict=True):
            derivative, below = walk(parent, down)
            total, paths = total + derivative, paths + below
        return total, paths

    one = torch.ones_like(output.tensor)
    if output is input or output.tensor.grad_fn is None:
        return float(output is input), 1
    with torch.no_grad():
        derivative, paths = walk(output.tensor.grad_fn, one)
    return derivative.item(), paths


class Dual:
    """As in scratch: value (...) and tangents (K, ...), the rules found by torch."""

    def __init__(self, value, tangent):
        self.value, self.tangent = torch.as_tensor(value), torch.as_tensor(tangent)

    def _push(self, f, *others):
        values = [self.value, *(other.value for other in others)]
        tangents = [self.tangent, *(other.tangent for other in others)]

        def push(*directions):
            return torch.func.jvp(f, tuple(values), directions)[1]

        return Dual(f(*values), torch.vmap(push)(*tangents))

    def __add__(self, other):
        if not isinstance(other, Dual):
            return self._push(lambda x: x + other)
        return self._push(torch.add, other)

    def __mul__(self, other):
        if not isinstance(other, Dual):
            return self._push(lambda x: x * other)
        return self._push(torch.mul, other)

    __radd__, __rmul__ = __add__, __mul__

    def apply(self, f, slope):
        """As in scratch, but torch needs no `slope`."""
        return self._push(f)


def evaluate(expression, values):
    """As in scratch; the expression may also be what `symbolic_grad` returns.

    >>> evaluate(("*", "x", "x"), {"x": torch.tensor([3.0])})
    tensor([9.])
    """
    if callable(expression):
        return expression(values)
    if isinstance(expression, str):
        return values[expression]
    if not isinstance(expression, tuple):
        return torch.as_tensor(expression, dtype=torch.float64)
    op, *operands = expression
    at = [evaluate(operand, values) for operand in operands]
    table = {"+": torch.add, "-": torch.sub, "*": torch.mul}
    table |= {"sin": torch.sin, "cos": torch.cos, "exp": torch.exp}
    return table[op](*at)


def symbolic_grad(expression, name):
    """A function from values (...) to the derivative, for `evaluate` or once more here.

    >>> slope = symbolic_grad(("sin", "x"), "x")
    >>> evaluate(symbolic_grad(slope, "x"), {"x": torch.zeros(())})
    tensor(-0.)
    """

    def derivative(values):
        def f(x):
            return evaluate(expression, values | {name: x}).sum()

        return torch.func.grad(f)(values[name])

    return derivative


def conjugate_gradient(product, b, *, steps, tol=1e-10):
    """As in scratch: x (n,) and the lengths of the residuals."""
    x, residual = torch.zeros_like(b), b
    direction, lengths = b, [torch.linalg.vector_norm(b)]
    while len(lengths) <= steps and lengths[-1] > tol * lengths[0]:
        image = product(direction)
        curvature = direction @ image
        if curvature <= 0:
            raise ValueError("conjugate_gradient: A is not positive definite")
        step = lengths[-1] ** 2 / curvature
        x, residual = x + step * direction, residual - step * image
        lengths.append(torch.linalg.vector_norm(residual))
        direction = residual + (lengths[-1] / lengths[-2]) ** 2 * direction
    return x, torch.stack(lengths)


def lanczos(product, start, steps):
    """As in scratch: T (k, k) and Q (n, k)."""
    Q, images = [start / torch.linalg.vector_norm(start)], []
    while True:
        images.append(product(Q[-1]))
        basis, rest = torch.stack(Q, dim=1), images[-1]
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        gap = torch.linalg.vector_norm(rest)
        if len(Q) == steps or gap <= 1e-12 * torch.linalg.vector_norm(images[-1]):
            T = basis.T @ torch.stack(images, dim=1)
            return (T + T.T) / 2, basis
        Q.append(rest / gap)
