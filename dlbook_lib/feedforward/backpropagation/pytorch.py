"""Back-propagation in PyTorch: the same network, its derivatives from autograd."""

import torch
from torch.nn.functional import cross_entropy

from dlbook_lib.feedforward.depth_and_width import pytorch as depth_and_width

__all__ = ["MLP", "InPlaceMLP", "minibatches", "tensor_chain_rule", "train_mlp"]


def tensor_chain_rule(dy, jacobian):
    """As in scratch: shapes (...) and (*Y.shape, *X.shape) give X.shape.

    >>> jacobian = torch.tensor([[5.0, 2.0], [1.0, 0.0]])
    >>> tensor_chain_rule(torch.tensor([1.0, 10.0]), jacobian)
    tensor([15.,  2.])
    """
    outer = list(range(dy.ndim))
    inner = list(range(dy.ndim, jacobian.ndim))
    return torch.einsum(dy, outer, jacobian, outer + inner, inner)


class MLP(depth_and_width.MLP):
    """As in scratch, a `torch.nn.Module`; batches are (N, in)."""

    def forward(self, input, cache=True):
        """As in scratch: outputs (N, out); without `cache` no graph is kept."""
        with torch.set_grad_enabled(cache and torch.is_grad_enabled()):
            if cache:
                self.input = input = input.detach().requires_grad_()
            output = super().forward(input)
        if cache:
            self.output = output
        return output

    def backward(self, dy):
        """As in scratch: gradients of the input (N, in) and of all parameters."""
        return torch.autograd.grad(self.output, [self.input, *self.parameters()], dy)

    def step(self, input, target, *, lr, weight_decay=0.0):
        """As in scratch; `loss.backward()` leaves each gradient in ``.grad``."""
        loss = cross_entropy(super().forward(input), target)
        self.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in self.parameters():
                if parameter.ndim == 2:
                    parameter.grad += weight_decay * parameter
                parameter -= lr * parameter.grad
        return loss.detach()


class InPlaceMLP(MLP):
    """As in scratch; PyTorch has its own ways to use memory again."""

    def reserve(self, rows, dtype):
        """As in scratch; here nothing has to be made for `rows` examples."""


def minibatches(count, batch_size, epochs, *, rng):
    """As in scratch, (steps, batch_size); `rng` is a `torch.Generator`."""
    used = count - count % batch_size
    orders = [torch.randperm(count, generator=rng)[:used] for _ in range(epochs)]
    return torch.cat(orders).reshape(-1, batch_size)


def train_mlp(net, input, target, batches, *, lr, weight_decay=0.0):
    """As in scratch: the loss of each batch before its step, (steps,)."""
    rates = torch.as_tensor(lr).expand(len(batches)).tolist()
    losses = [
        net.step(input[batch], target[batch], lr=rate, weight_decay=weight_decay)
        for batch, rate in zip(batches, rates, strict=True)
    ]
    return torch.stack(losses)
