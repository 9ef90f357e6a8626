"""Networks of any depth in PyTorch; the constructions of `scratch` as tensors."""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import linear, one_hot, relu, sigmoid

__all__ = [
    "MLP",
    "break_points",
    "bump_network",
    "collapse_linear",
    "count_linear_regions",
    "count_params",
    "describe",
    "disc_polygon",
    "fit_output_layer",
    "identity",
    "layer_by_layer_embedding",
    "linear_probe_accuracy",
    "mode_strength",
    "neuron",
    "sawtooth",
    "signed_distance",
    "step",
    "train_deep_linear",
]


def neuron(x, w, b, g):
    """As in `scratch`: g(w·x + b), of `x` (..., in) and `w` (in,), is (...)."""
    return g(x @ w + b)


def signed_distance(x, w, b):
    """As in `scratch`: distances (...) of points `x` (..., in) from a hyperplane."""
    return (x @ w + b) / torch.linalg.vector_norm(w)


def identity(input):
    """The activation that does nothing, of `input` (...)."""
    return input


def step(input):
    """1 where `input` (...) is above 0, else 0; its gradient is zero everywhere."""
    return (input > 0).to(input.dtype)


class MLP(nn.Sequential):
    """As in `scratch`, a Sequential of Linear layers; `rng` is a `torch.Generator`.

    The layers are numbered 0, 2, 4, … as if activation modules (N, out) stood between
    them, so states copy over from and to a plain ``nn.Sequential`` that has those.
    """

    def __init__(self, sizes, activation=relu, *, rng):
        shapes = enumerate(pairwise(sizes))
        layers = [(str(2 * k), nn.Linear(*shape)) for k, shape in shapes]
        super().__init__(OrderedDict(layers))
        self.activation = activation
        for layer in self:
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=rng)
            nn.init.uniform_(layer.bias, -bound, bound, generator=rng)

    @classmethod
    def from_arrays(cls, weights, biases, activation=relu):
        """A network that starts from the given tensors (out, in) and (out,)."""
        sizes = [weights[0].shape[1], *map(len, biases)]
        net = cls(sizes, activation, rng=torch.Generator()).to(weights[0])
        for layer, weight, bias in zip(net, weights, biases, strict=True):
            layer.weight.data, layer.bias.data = weight, bias
        return net

    @property
    def weights(self):
        """The weight (out, in) of each layer."""
        return [layer.weight for layer in self]

    @property
    def biases(self):
        """The bias (out,) of each layer."""
        return [layer.bias for layer in self]

    def layers(self, input):
        """What every layer hands on, a list of (..., out), for `input` (..., in)."""
        outputs, last = [], len(self) - 1
        for k, layer in enumerate(self):
            input = layer(input) if k == last else self.activation(layer(input))
            outputs.append(input)
        return outputs

    def forward(self, input):
        """Outputs (..., out) for `input` (..., in)."""
        return self.layers(input)[-1]


def count_params(net):
    """How many numbers the parameters (out, in), (out,) of `net` hold."""
    return sum(parameter.numel() for parameter in net.parameters())


def describe(net):
    """As in `scratch`: depth, hidden widths and parameters, from shapes (out, in)."""
    sizes = [net.weights[0].shape[1], *(len(bias) for bias in net.biases)]
    return {
        "depth": len(sizes) - 1,
        "widths": sizes[1:-1],
        "parameters": sum((n + 1) * m for n, m in pairwise(sizes)),
    }


def collapse_linear(net):
    """As in `scratch`: the weight (out, in) and the bias (out,) of the one map."""
    weight, bias = net.weights[0], net.biases[0]
    for w, b in zip(net.weights[1:], net.biases[1:], strict=True):
        weight, bias = w @ weight, w @ bias + b
    return weight, bias


def train_deep_linear(weights, target, *, lr, steps):
    """As in `scratch`, with gradients from autograd; products (steps + 1, out, in)."""
    weights = [w.detach().clone().requires_grad_() for w in weights]
    optimizer = torch.optim.SGD(weights, lr=lr)
    history = []
    for _ in range(steps + 1):
        product = weights[0]
        for w in weights[1:]:
            product = w @ product
        history.append(product.detach())
        optimizer.zero_grad()
        ((product - target).square().sum() / 2).backward()
        optimizer.step()
    return torch.stack(history)


def mode_strength(time, strength, start):
    """As in `scratch`: what is learned (...) of one mode at each `time` (...)."""
    decay = torch.exp(-2 * strength * time)
    return strength / (1 + (strength / start - 1) * decay)


def _least_squares(columns, target):
    """Of least length where several are best, as `numpy.linalg.lstsq`."""
    eps = torch.finfo(columns.dtype).eps * max(columns.shape)
    return torch.linalg.pinv(columns, rtol=eps) @ target


def linear_probe_accuracy(train, train_labels, test, test_labels):
    """As in `scratch`: share of `test` (M, features) that a linear probe gets right."""
    wanted = one_hot(train_labels).to(train.dtype)  # (N, classes)
    mean = train.mean(dim=0)
    weight = _least_squares(train - mean, wanted - wanted.mean(dim=0))
    score = (test - mean) @ weight + wanted.mean(dim=0)
    return (score.argmax(dim=1) == test_labels).double().mean().item()


@torch.no_grad()
def layer_by_layer_embedding(net, input, labels):
    """As in `scratch`: a list of planes (N, 2), for the input and each hidden layer."""
    planes = []
    for features in [input, *net.layers(input)[:-1]]:
        if features.shape[1] == 2:
            planes.append(features)
            continue
        centred = features - features.mean(dim=0)
        wanted = labels.to(input.dtype) - labels.to(input.dtype).mean()
        across = nn.functional.normalize(_least_squares(centred, wanted), dim=0)
        rest = centred - torch.outer(centred @ across, across)
        along = torch.linalg.svd(rest, full_matrices=False)[2][0]
        along = along * torch.sign(along[along.abs().argmax()])
        planes.append(torch.stack([centred @ across, centred @ along], dim=1))
    return planes


def bump_network(edges, heights, steepness=None):
    """As in `scratch`: pairs of steps at `edges` (K + 1,), of `heights` (K,)."""
    a = 1 if steepness is None else steepness
    steps = torch.cat([edges[:-1], edges[1:]])  # (2 K,)
    signs = torch.cat([heights, -heights])[None]  # (1, 2 K)
    weights = [torch.full_like(steps[:, None], a), signs]
    biases = [-a * steps, torch.zeros_like(heights[:1])]
    return MLP.from_arrays(weights, biases, step if steepness is None else sigmoid)


@torch.no_grad()
def fit_output_layer(net, input, target):
    """As in `scratch`: least squares for `input` (N, in) and `target` (N, out)."""
    below = [input, *net.layers(input)][-2]
    columns = torch.cat([below, torch.ones_like(input[:, :1])], dim=1)
    solution = _least_squares(columns, target)
    net[-1].weight.copy_(solution[:-1].T)
    net[-1].bias.copy_(solution[-1])
    return (columns @ solution - target).square().mean().sqrt().item()


def sawtooth(depth):
    """As in `scratch`: the tent map over itself, (N, 1) to (N, 1), in float64."""
    tent = torch.tensor([[2.0, -4.0]], dtype=torch.float64)
    shift, one = torch.tensor([0.0, -0.5]).to(tent), torch.ones(2, 1).to(tent)
    weights = [one, *[one @ tent] * (depth - 1), tent]
    return MLP.from_arrays(weights, [*[shift] * depth, torch.zeros(1).to(tent)])


@torch.no_grad()
def break_points(net, start, end):
    """As in `scratch`: rising places t (P,) between two points (in,)."""
    t = torch.tensor([0.0, 1.0]).to(start)
    for k in range(len(net.weights) - 1):
        points = torch.lerp(start, end, t[:, None])  # (P, in)
        below = net.layers(points)[k - 1] if k else points
        score = linear(below, net.weights[k], net.biases[k])  # (P, width)
        left, right = score[:-1], score[1:]
        i, unit = torch.nonzero(left * right < 0, as_tuple=True)
        part = left[i, unit] / (left[i, unit] - right[i, unit])
        t = torch.unique(torch.cat([t, t[i] + part * (t[i + 1] - t[i])]))
        t = t[torch.diff(t, prepend=-torch.ones_like(t[:1])) > 1e-12]
    return t


@torch.no_grad()
def count_linear_regions(net, start, end):
    """As in `scratch`: the straight pieces between two points (in,)."""
    t = break_points(net, start, end)
    outputs = net(torch.lerp(start, end, t[:, None]))  # (P, out)
    slopes = torch.diff(outputs, dim=0) / torch.diff(t)[:, None]
    change = torch.diff(slopes, dim=0).abs().amax(dim=1)
    return 1 + int((change > 1e-6 * slopes.abs().max()).sum())


def disc_polygon(sides, distance=1.0):
    """As in `scratch`: above 0 inside a regular polygon, (N, 2) to (N, 1), float64."""
    angle = 2 * torch.pi * torch.arange(sides, dtype=torch.float64) / sides
    inward = -torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)  # (sides, 2)
    ones = torch.ones_like(angle)
    biases = [distance * ones, torch.tensor([0.5 - sides]).to(angle)]
    return MLP.from_arrays([inward, ones[None]], biases, step)
