"""Steps to an engine and beyond: scalar graphs, dual numbers, symbols, second order.

The engine itself, for arrays, stands in `engine`, `operations` and `modules`. Here is
what comes before it, a graph of single numbers; the two other ways to differentiate a
program, forward and symbolic; and what gradients of gradients are good for: Jacobians,
Hessians, and two methods that need nothing of a matrix but its products with vectors.
"""

import math
from numbers import Real

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_finite,
    check_in,
    check_positive,
    check_same_shape,
    require,
)
from dlbook_lib.feedforward.autodiff.engine import grad
from dlbook_lib.feedforward.autodiff.operations import Tensor  # with its operators


class Scalar:
    """One number in a graph that remembers how it was made.

    Parameters
    ----------
    value : float
    op : str
        The operation that made it; empty for a number that was given.
    parents : tuple of Scalar
        What it was made from.
    local : tuple of float
        The derivative of `value` with respect to each parent, at the parents' values.

    After `scalar_backward`, `grad` is the derivative of the output with respect to it.

    Source: Linnainmaa (1976), who writes a program's rounding errors as such a graph.

    >>> x, y = Scalar(3.0), Scalar(2.0)
    >>> z = x * y + x
    >>> z.value, z.op, z.local
    (9.0, '+', (1.0, 1.0))
    """

    def __init__(self, value, op="", parents=(), local=()):
        require(isinstance(value, Real), f"{value!r} is not one real number", TypeError)
        require(len(parents) == len(local), "give each parent its local derivative")
        self.value, self.grad, self.op = float(value), 0.0, op
        self.parents, self.local = parents, local

    def __add__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        return Scalar(self.value + other.value, "+", (self, other), (1.0, 1.0))

    def __mul__(self, other):
        other = other if isinstance(other, Scalar) else Scalar(other)
        local = (other.value, self.value)
        return Scalar(self.value * other.value, "×", (self, other), local)

    __radd__, __rmul__ = __add__, __mul__

    def exp(self):
        """The exponential, whose local derivative is itself."""
        value = math.exp(self.value)
        return Scalar(value, "exp", (self,), (value,))

    def log(self):
        """The natural logarithm of a number above 0."""
        return Scalar(math.log(self.value), "log", (self,), (1 / self.value,))


def parents_first(output):
    """All nodes that `output` is made of, each after its parents; then itself.

    Parameters
    ----------
    output : Scalar
        A number, of shape (); or any node that has `parents`.

    Returns
    -------
    list of Scalar
        Each node once. There is no recursion, so a deep graph overflows no stack.

    >>> x = Scalar(2.0)
    >>> [node.op or node.value for node in parents_first(x * x + 1.0)]
    [1.0, 2.0, '×', '+']
    """
    require(hasattr(output, "parents"), f"output {output!r} is no node of a graph")
    order, seen, stack = [], set(), [(output, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((parent, False) for parent in node.parents)
    return order


def scalar_backward(output):
    """Set `grad` of every node of the graph to the derivative of `output`.

    Parameters
    ----------
    output : Scalar
        A number, of shape ().

    Each node is visited after all nodes that use it, so its own derivative is complete
    before it is passed on, and each edge costs one multiplication.

    >>> x = Scalar(3.0)
    >>> scalar_backward(x * x + x)
    >>> x.grad
    7.0
    """
    order = parents_first(output)
    for node in order:
        node.grad = 0.0
    output.grad = 1.0
    for node in reversed(order):
        for parent, slope in zip(node.parents, node.local, strict=True):
            parent.grad += node.grad * slope


def recursive_derivative(output, input):
    """The chain rule as written on paper: recursive, with nothing stored.

    Sums the products of local derivatives over all paths, and so walks a shared part
    once for each path that leads through it.

    Parameters
    ----------
    output, input : Scalar
        Two nodes of one graph; numbers, so of shape ().

    Returns
    -------
    derivative : float
    paths : int
        How many paths were walked, from `output` down to `input` or to a given number.

    Source: Goodfellow, Bengio and Courville (2016), section 6.5.3, on the cost of
    repeated subexpressions.

    >>> x = Scalar(1.0)
    >>> y = x + x
    >>> recursive_derivative(y + y, x)
    (4.0, 4)
    """
    for node in (output, input):
        require(isinstance(node, Scalar), f"{node!r} is no Scalar", TypeError)
    if output is input or not output.parents:
        return float(output is input), 1
    total, paths = 0.0, 0
    for parent, slope in zip(output.parents, output.local, strict=True):
        derivative, below = recursive_derivative(parent, input)
        total, paths = total + slope * derivative, paths + below
    return total, paths


class Dual:
    r"""Values with their tangents: forward mode for several directions at once.

    .. math:: f(x + \dot x\,\epsilon) = f(x) + f'(x)\,\dot x\,\epsilon,
        \qquad \epsilon^2 = 0

    Parameters
    ----------
    value : array_like (...)
    tangent : array_like (K, ...)
        One tangent for each of K directions, each of the shape of `value`.

    Source: Griewank and Walther (2008), chapter 3. What is computed for K directions in
    one sweep here is ``jax.jacfwd`` elsewhere, and `torch.func.jvp` under `vmap`.

    >>> x = Dual([3.0], [[1.0]])
    >>> y = x * x.apply(np.sin, np.cos)
    >>> y.value, y.tangent
    (array([0.42336002]), array([[-2.82885748]]))
    """

    def __init__(self, value, tangent):
        self.value = as_float(value, "value")
        self.tangent = as_float(tangent, "tangent")
        check_same_shape(tangent=self.tangent[:1], value=self.value[None])

    def __add__(self, other):
        if not isinstance(other, Dual):
            return Dual(self.value + other, self.tangent)
        return Dual(self.value + other.value, self.tangent + other.tangent)

    def __mul__(self, other):
        if not isinstance(other, Dual):
            return Dual(self.value * other, self.tangent * other)
        slope = self.tangent * other.value + self.value * other.tangent
        return Dual(self.value * other.value, slope)

    __radd__, __rmul__ = __add__, __mul__

    def apply(self, f, slope):
        """f entry by entry; `slope` is its derivative, as `np.cos` is of `np.sin`."""
        return Dual(f(self.value), slope(self.value) * self.tangent)


def evaluate(expression, values):
    """The value of an expression tree.

    Parameters
    ----------
    expression : float, str or tuple
        A number, the name of a variable, or ``(op, *operands)`` with ``op`` one of
        ``"+"``, ``"-"``, ``"*"``, ``"sin"``, ``"cos"``, ``"exp"``.
    values : dict of str to array_like (...)

    Returns
    -------
    float, or ndarray (...)

    >>> evaluate(("+", ("*", "x", "x"), 1.0), {"x": 3.0})
    np.float64(10.0)
    """
    if isinstance(expression, str):
        check_in(expression, "the variable", tuple(values))
        return values[expression]
    if not isinstance(expression, tuple):
        return Scalar(expression).value
    op, *operands = expression
    check_in(op, "the operation", ("+", "-", "*", "sin", "cos", "exp"))
    wanted = 2 if op in ("+", "-", "*") else 1
    require(
        len(operands) == wanted,
        f"{op!r} takes {wanted} operands, not {len(operands)}; nest longer sums",
    )
    at = [evaluate(operand, values) for operand in operands]
    table = {"+": np.add, "-": np.subtract, "*": np.multiply}
    table |= {"sin": np.sin, "cos": np.cos, "exp": np.exp}
    return table[op](*at)


def _simplified(op, a, b):
    """The expression ``(op, a, b)``, a number of shape () or shorter where it can be.

    >>> _simplified("*", 1.0, "x"), _simplified("+", "x", "y")
    ('x', ('+', 'x', 'y'))
    """
    check_in(op, "the operation", ("+", "-", "*"))
    if isinstance(a, float) and isinstance(b, float):
        return {"+": a + b, "-": a - b, "*": a * b}[op]
    if op == "*":
        if 0.0 in (a, b):
            return 0.0
        return b if a == 1.0 else a if b == 1.0 else (op, a, b)
    if op == "+" and a == 0.0:
        return b
    return a if b == 0.0 else (op, a, b)


def symbolic_grad(expression, name):
    """The derivative of an expression tree, as another expression tree.

    Parameters
    ----------
    expression : float, str or tuple
        As in `evaluate`; its values may have any shape (...).
    name : str
        The variable to differentiate by.

    Returns
    -------
    float, str or tuple
        An expression that can be evaluated, or differentiated again. Only products
        with 0 and 1 and sums with 0 are simplified; equal parts are not shared.

    >>> symbolic_grad(("*", "x", ("sin", "x")), "x")
    ('+', ('sin', 'x'), ('*', 'x', ('cos', 'x')))
    """
    require(isinstance(name, str), f"name must be a string, not {name!r}", TypeError)
    if not isinstance(expression, tuple):
        return 1.0 if expression == name else 0.0
    op, a, *rest = expression
    check_in(op, "the operation", ("+", "-", "*", "sin", "cos", "exp"))
    da = symbolic_grad(a, name)
    if op == "sin":
        return _simplified("*", ("cos", a), da)
    if op == "cos":
        return _simplified("*", ("*", -1.0, ("sin", a)), da)
    if op == "exp":
        return _simplified("*", expression, da)
    require(len(rest) == 1, f"{op!r} takes 2 operands, not {1 + len(rest)}; nest them")
    (b,) = rest
    db = symbolic_grad(b, name)
    if op == "*":
        return _simplified("+", _simplified("*", da, b), _simplified("*", a, db))
    return _simplified(op, da, db)


def jacobian(func, inputs):
    r"""All first derivatives, :math:`\partial y_i/\partial x_j`, one output at a time.

    Parameters
    ----------
    func : callable
        Takes a `Tensor` (...) and returns a `Tensor` (...) of its operations.
    inputs : array_like (...)
        Where to differentiate.

    Returns
    -------
    ndarray (..., ...)
        The shape of the output, then that of the input. One backward pass for each
        entry of the output.

    Raises
    ------
    TypeError
        If `func` does not return a `Tensor`.

    >>> jacobian(lambda x: x * x, [1.0, 3.0])
    array([[2., 0.],
           [0., 6.]])
    """
    x = Tensor(as_float(inputs, "inputs"), requires_grad=True)
    y = func(x)
    kind = type(y).__name__
    require(isinstance(y, Tensor), f"func returns a {kind}, not a Tensor", TypeError)
    rows = np.zeros((y.numel(), *x.shape), x.dtype)
    for i in range(len(rows) if y.requires_grad else 0):
        one = np.zeros(y.numel(), y.dtype)
        one[i] = 1
        seed = one.reshape(y.shape)
        (row,) = grad(y, x, seed, retain_graph=True, allow_unused=True)
        rows[i] = 0 if row is None else row.data
    return rows.reshape(*y.shape, *x.shape)


def hessian(func, inputs):
    r"""All second derivatives of a number, by differentiating the gradient's graph.

    Parameters
    ----------
    func : callable
        Takes a `Tensor` (...) and returns a `Tensor` of one element.
    inputs : array_like (...)

    Returns
    -------
    ndarray (..., ...)
        The shape of the input, twice. One product of Hessian and vector for each entry.

    >>> hessian(lambda x: (x * x * x).sum(), [1.0, 2.0])
    array([[ 6.,  0.],
           [ 0., 12.]])
    """

    def gradient(x):
        y = func(x)
        kind = type(y).__name__
        require(isinstance(y, Tensor), f"func returns a {kind}, no Tensor", TypeError)
        require(y.numel() == 1, f"func returns {y.shape}, but only a number has a "
                "Hessian; sum or average it")  # fmt: skip
        (slope,) = grad(y, x, create_graph=True)
        return slope

    return jacobian(gradient, inputs)


def hvp(func, inputs, v=None):
    r"""The product of the Hessian with a vector, without the Hessian.

    .. math:: H\mathbf v
        = \nabla_{\mathbf x}\big[(\nabla_{\mathbf x} f)^{\mathsf T}\mathbf v\big]

    Parameters
    ----------
    func : callable
        Takes a `Tensor` (...) and returns a `Tensor` of one element.
    inputs : array_like (...)
    v : array_like (...)
        Of the shape of `inputs`; may be left out, and is then 1, for a single input.

    Returns
    -------
    output : ndarray ()
        The value of `func`, as torch returns it too.
    product : ndarray (...)

    Source: Pearlmutter (1994), there by forward differentiation of the gradient; here
    by differentiating it backward, as `torch.autograd.functional.hvp` does.

    >>> output, product = hvp(lambda x: (x * x * x).sum(), [1.0, 2.0], [1.0, 1.0])
    >>> product
    array([ 6., 12.])
    """
    x = Tensor(as_float(inputs, "inputs"), requires_grad=True)
    require(v is not None or x.numel() == 1, "v is missing; give a vector to multiply")
    v = np.ones_like(x.data) if v is None else as_float(v, "v").astype(x.dtype)
    check_same_shape(inputs=x.data, v=v)
    y = func(x)
    kind = type(y).__name__
    require(isinstance(y, Tensor), f"func returns a {kind}, not a Tensor", TypeError)
    require(y.numel() == 1, f"func returns {y.shape}, but only a number has a Hessian")
    (slope,) = grad(y, x, create_graph=True)
    if not slope.requires_grad:  # the function is linear
        return y.data, np.zeros_like(x.data)
    (product,) = grad(slope, x, v, allow_unused=True)
    return y.data, np.zeros_like(x.data) if product is None else product.data


def conjugate_gradient(product, b, *, steps, tol=1e-10):
    r"""Solve :math:`A\mathbf x=\mathbf b` from products with A alone.

    After k steps :math:`\mathbf x` is the best point of
    :math:`\mathrm{span}\{\mathbf b,A\mathbf b,\dots,A^{k-1}\mathbf b\}`, measured by
    the quadratic :math:`\tfrac12\mathbf x^{\mathsf T}A\mathbf x-\mathbf b^{\mathsf T}
    \mathbf x`.

    Parameters
    ----------
    product : callable
        ``product(v)`` is A v (n,) for a vector v (n,); A is symmetric and positive
        definite.
    b : array_like (n,)
    steps : int
        At most so many products.
    tol : float
        Stop when the residual is shorter than `tol` times `b`.

    Returns
    -------
    x : ndarray (n,)
    residuals : ndarray (steps taken + 1,)
        The length of b − A x, before the first step and after each.

    Raises
    ------
    ValueError
        If a product shows that A is not positive definite.

    Source: Hestenes and Stiefel (1952).

    >>> A = np.array([[4.0, 1.0], [1.0, 3.0]])
    >>> x, residuals = conjugate_gradient(lambda v: A @ v, [1.0, 2.0], steps=2)
    >>> A @ x
    array([1., 2.])
    """
    b = as_float(b, "b", ndim=1)
    check_finite(b, "b")
    check_positive(steps, "steps", integer=True)
    check_positive(tol, "tol")
    x, residual = np.zeros_like(b), b.copy()
    direction, lengths = residual, [np.linalg.norm(b)]
    while len(lengths) <= steps and lengths[-1] > tol * lengths[0]:
        image = as_float(product(direction), "the product", ndim=1)
        check_same_shape(vector=direction, product=image)
        curvature = direction @ image
        require(curvature > 0, f"A is not positive definite: v·Av = {curvature:.3g}; "
                "add a multiple of the identity")  # fmt: skip
        step = lengths[-1] ** 2 / curvature
        x, residual = x + step * direction, residual - step * image
        lengths.append(np.linalg.norm(residual))
        direction = residual + (lengths[-1] / lengths[-2]) ** 2 * direction
    return x, np.array(lengths)


def lanczos(product, start, steps):
    r"""Project a symmetric matrix on its Krylov space, from products alone.

    :math:`T=Q^{\mathsf T}AQ` is tridiagonal, with Q an orthonormal basis of
    :math:`\mathrm{span}\{\mathbf v,A\mathbf v,A^2\mathbf v,\dots\}`. The eigenvalues of
    T, the Ritz values, approach those of A, first the outermost.

    Parameters
    ----------
    product : callable
        ``product(v)`` is A v (n,) for a vector v (n,); A is symmetric.
    start : array_like (n,)
        Where to begin; not zero.
    steps : int
        So many products, from 1 to n.

    Returns
    -------
    T : ndarray (k, k)
        With k = `steps`, or fewer if the Krylov space is exhausted.
    Q : ndarray (n, k)

    Source: Lanczos (1950). Each new vector is made orthogonal to all before it, twice:
    in floating-point arithmetic the three-term recurrence alone loses that, and finds
    copies of eigenvalues.

    >>> A = np.diag([1.0, 2.0, 10.0])
    >>> T, Q = lanczos(lambda v: A @ v, np.ones(3), 3)
    >>> np.linalg.eigvalsh(T).round(9)
    array([ 1.,  2., 10.])
    """
    start = as_float(start, "start", ndim=1)
    check_finite(start, "start")
    check_positive(steps, "steps", integer=True)
    require(
        steps <= len(start),
        f"there are only {len(start)} directions, so steps cannot be {steps}",
    )
    length = np.linalg.norm(start)
    require(length > 0, "start is the zero vector; draw it at random")
    Q, images = [start / length], []
    while True:
        images.append(as_float(product(Q[-1]), "the product", ndim=1))
        check_same_shape(vector=Q[-1], product=images[-1])
        basis, rest = np.stack(Q, axis=1), images[-1]
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        gap, scale = np.linalg.norm(rest), np.linalg.norm(images[-1])
        if len(Q) == steps or gap <= 1e-12 * scale:
            T = basis.T @ np.stack(images, axis=1)
            return (T + T.T) / 2, basis
        Q.append(rest / gap)
