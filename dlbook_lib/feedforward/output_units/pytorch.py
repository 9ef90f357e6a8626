"""Output units in PyTorch: the same names, gradients by autograd.

The functions of the softmax family, `softplus` and `cross_entropy` are PyTorch's. The
heads hold no numbers, so the same head serves on any device and in any precision.
"""

import torch
from torch import log_softmax, logsumexp, nn, softmax
from torch.nn import functional
from torch.nn.functional import cross_entropy, softplus

from dlbook_lib.feedforward.linear_models.pytorch import gradient_descent
from dlbook_lib.feedforward.xor.pytorch import TwoLayerNet, two_layer


def _backward(function, dy, *inputs):
    """The backward of any function: gradients with respect to `inputs` (...)."""
    inputs = [x.detach().requires_grad_() for x in inputs]
    output = function(*inputs)
    dy = torch.as_tensor(dy, dtype=output.dtype, device=output.device)
    return torch.autograd.grad(output, inputs, dy.expand_as(output))


def softplus_backward(dy, input, beta=1.0, threshold=20.0):
    """As in scratch: the gradient (...)."""
    return _backward(lambda x: softplus(x, beta, threshold), dy, input)[0]


def logsumexp_backward(dy, input, dim, keepdim=False):
    """As in scratch: the gradient (...)."""
    return _backward(lambda x: logsumexp(x, dim, keepdim), dy, input)[0]


def softmax_backward(dy, input, dim):
    """As in scratch: the gradient (...)."""
    return _backward(lambda x: softmax(x, dim), dy, input)[0]


def log_softmax_backward(dy, input, dim):
    """As in scratch: the gradient (...)."""
    return _backward(lambda x: log_softmax(x, dim), dy, input)[0]


def class_probabilities(input, target, ignore_index=-100):
    """As in scratch: one-hot rows (N, C, ...), or the probabilities themselves."""
    if target.is_floating_point():
        return target
    dim, counts = min(1, input.ndim - 1), target != ignore_index
    hot = functional.one_hot(target.where(counts, 0), input.shape[dim])
    return (hot * counts[..., None]).movedim(-1, dim).to(input.dtype)


def target_weights(input, target, weight=None, ignore_index=-100, label_smoothing=0.0):
    """As in scratch: weights (N, C, ...) and what a mean divides by."""
    dim = min(1, input.ndim - 1)
    q = class_probabilities(input, target, ignore_index).movedim(dim, -1)
    classes = q.shape[-1]
    weight = torch.ones(classes).to(q) if weight is None else weight
    labels = target.ndim < input.ndim
    total = (weight * q).sum().item() if labels else q.numel() / classes
    q = q.lerp(q.sum(dim=-1, keepdim=True).expand_as(q) / classes, label_smoothing)
    return (weight * q).movedim(-1, dim), total


def cross_entropy_backward(
    dy,
    input,
    target,
    weight=None,
    ignore_index=-100,
    reduction="mean",
    label_smoothing=0.0,
):
    """As in scratch: the gradient with respect to the logits (N, C, ...)."""
    options = {"weight": weight, "ignore_index": ignore_index}
    options |= {"reduction": reduction, "label_smoothing": label_smoothing}
    return _backward(lambda z: cross_entropy(z, target, **options), dy, input)[0]


def cross_entropy_in_one_buffer(input, target):
    """As in scratch: mean loss and gradient (N, C), in place in one new tensor."""
    rows = torch.arange(len(input), device=input.device)
    buffer = log_softmax(input, dim=1)
    loss = -buffer[rows, target].mean()
    buffer.exp_()[rows, target] -= 1
    return loss, buffer.div_(len(input))


def heteroscedastic_nll(mean, a, target, reduction="mean"):
    """As in scratch (...), by way of PyTorch's own Gaussian loss of a variance."""
    var = softplus(a).clamp_min(1e-30).reciprocal()
    return functional.gaussian_nll_loss(
        mean, target, var, eps=1e-30, reduction=reduction
    )


def heteroscedastic_nll_backward(dy, mean, a, target, reduction="mean"):
    """As in scratch: the gradients of mean and a (...)."""
    return _backward(
        lambda m, a: heteroscedastic_nll(m, a, target, reduction), dy, mean, a
    )


def mixture_log_joint(logits, mean, log_scale, target):
    """As in scratch: log-density of outcome and component (..., K)."""
    scale = log_scale.exp()[..., None].expand_as(mean)
    parts = torch.distributions.Normal(mean, scale).log_prob(target[..., None, :])
    return log_softmax(logits, dim=-1) + parts.sum(dim=-1)


def mixture_density_nll(logits, mean, log_scale, target, reduction="mean"):
    """As in scratch, from (..., K), (..., K, D), (..., K), by its distributions."""
    scale = log_scale.exp()[..., None].expand_as(mean)
    parts = torch.distributions.Independent(torch.distributions.Normal(mean, scale), 1)
    shares = torch.distributions.Categorical(logits=logits)
    loss = -torch.distributions.MixtureSameFamily(shares, parts).log_prob(target)
    return {"mean": torch.mean, "sum": torch.sum, "none": torch.clone}[reduction](loss)


def mixture_density_nll_backward(dy, logits, mean, log_scale, target, reduction="mean"):
    """As in scratch: gradients (..., K), (..., K, D) and (..., K)."""

    def loss(logits, mean, log_scale):
        return mixture_density_nll(logits, mean, log_scale, target, reduction)

    return _backward(loss, dy, logits, mean, log_scale)


class _Head:
    """What all heads share: autograd finds the slope of any loss."""

    def gradient(self, output, target):
        """Slope of the loss, of the shape of the output (N, ...)."""
        return _backward(lambda z: self.loss(z, target), 1.0, output)[0]


class LinearHead(_Head):
    """As in scratch: a Gaussian mean (N, D), under the squared error."""

    def link(self, output):
        """As in scratch: the means (N, D)."""
        return output

    def loss(self, output, target):
        """As in scratch: the mean squared error of outputs (N, D)."""
        return functional.mse_loss(output, target)


class SigmoidHead(_Head):
    """As in scratch: the probability of a yes (N, D)."""

    def link(self, output):
        """As in scratch: probabilities (N, D)."""
        return torch.sigmoid(output)

    def loss(self, output, target):
        """As in scratch: the cross-entropy of logits (N, D)."""
        return functional.binary_cross_entropy_with_logits(output, target)


class SoftmaxHead(_Head):
    """As in scratch: probabilities of C classes (N, C)."""

    def link(self, output):
        """As in scratch: probabilities (N, C)."""
        return softmax(output, dim=1)

    def loss(self, output, target):
        """As in scratch: the cross-entropy of logits (N, C) and labels (N,)."""
        return cross_entropy(output, target)


class PoissonHead(_Head):
    """As in scratch: the rate of a count (N, D)."""

    def link(self, output):
        """As in scratch: rates (N, D)."""
        return torch.exp(output)

    def loss(self, output, target):
        """As in scratch: the loss of log-rates (N, D) and counts (N, D)."""
        return functional.poisson_nll_loss(output, target)


class HeteroscedasticHead(_Head):
    """As in scratch: means and precisions (N, D) from outputs (N, 2 D)."""

    def split(self, output):
        """As in scratch: means and a's, (N, D) each."""
        return output.chunk(2, dim=1)

    def link(self, output):
        """As in scratch: means and precisions, (N, D) each."""
        mean, a = self.split(output)
        return mean, softplus(a)

    def loss(self, output, target):
        """As in scratch: the loss of outputs (N, 2 D) and targets (N, D)."""
        return heteroscedastic_nll(*self.split(output), target)


class MixtureDensityNetwork(_Head, TwoLayerNet):
    """As in scratch, as an `nn.Module`; `rng` is a `torch.Generator`."""

    def __init__(self, in_features, width, components, out_features=1, *, rng):
        outputs = components * (out_features + 2)
        super().__init__(in_features, width, outputs, rng=rng)
        self.components = components

    def split(self, output):
        """As in scratch: (N, K), (N, K, D) and (N, K)."""
        K = self.components
        return output[:, :K], output[:, K:-K].unflatten(1, (K, -1)), output[:, -K:]

    def link(self, output):
        """As in scratch: shares (N, K), means (N, K, D) and scales (N, K)."""
        logits, mean, log_scale = self.split(output)
        return softmax(logits, dim=1), mean, log_scale.exp()

    def loss(self, output, target):
        """As in scratch: the loss of outputs (N, K (D + 2)) and targets (N, D)."""
        return mixture_density_nll(*self.split(output), target)


def fit_head(head, parameters, input, target, *, lr, steps):
    """As in scratch; the gradients are autograd's, for inputs (N, in)."""

    def objective(*parameters):
        return head.loss(two_layer(input, *parameters), target)

    return gradient_descent(objective, parameters, lr=lr, steps=steps)


OUTPUT_UNITS = {
    "linear": (LinearHead().link, functional.mse_loss, nn.MSELoss),
    "sigmoid": (
        torch.sigmoid,
        functional.binary_cross_entropy_with_logits,
        nn.BCEWithLogitsLoss,
    ),
    "softmax": (SoftmaxHead().link, cross_entropy, nn.CrossEntropyLoss),
    "poisson": (torch.exp, functional.poisson_nll_loss, nn.PoissonNLLLoss),
    "heteroscedastic": (
        HeteroscedasticHead().link,
        heteroscedastic_nll,
        nn.GaussianNLLLoss,
    ),
    "mixture": (
        MixtureDensityNetwork.link,
        mixture_density_nll,
        torch.distributions.MixtureSameFamily,
    ),
}
"""Name to link, loss and PyTorch's class for the loss."""
