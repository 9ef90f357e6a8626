"""Letters and losses that can be differentiated twice, for Tensors.

Each name is that of a function in `scratch`, on a `Tensor` (V, E) or (T, N, C) instead
of an array. The pair there gives values and gradients; what stands here is the
definition in operations on Tensors, and serves where the gradient is differentiated
again.
"""

import numpy as np

from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import raw, register
from dlbook_lib.recurrent.backpropagation_through_time import scratch


def _embedding(input, weight):
    return weight[np.asarray(raw(input))]


def _sequence_nll(input, target, lengths=None, reduction="mean"):
    target = scratch.steps_that_count(raw(input), target, lengths)[1]
    real = target >= 0  # (T, N)
    classes = np.where(real, target, 0)[..., None]
    log_p = operations.gather(operations.log_softmax(input, 2), 2, classes)[..., 0]
    loss = -(log_p * real).sum(0)  # (N,)
    return loss if reduction == "none" else getattr(loss, reduction)()


embedding = register(scratch.embedding, scratch.embedding_backward, _embedding)
sequence_nll = register(
    scratch.sequence_nll, scratch.sequence_nll_backward, _sequence_nll
)
