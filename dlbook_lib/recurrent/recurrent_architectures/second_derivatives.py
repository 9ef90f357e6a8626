"""Trees, and the loss of sequences, that can be differentiated twice, for Tensors.

Each name is that of a function in `scratch`, or of the page on back-propagation through
time, on a `Tensor` (n, H) or (T, N, C) instead of an array. The pair there gives values
and gradients; what stands here is the definition in operations on Tensors, and serves
where the gradient is differentiated again.
"""

import numpy as np

from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import raw, register
from dlbook_lib.recurrent.backpropagation_through_time.scratch import (
    sequence_nll as nll_of_arrays,
)
from dlbook_lib.recurrent.backpropagation_through_time.scratch import (
    sequence_nll_backward,
    steps_that_count,
)
from dlbook_lib.recurrent.recurrent_architectures import scratch


def _recursive_states(leaves, tree, weight, bias):
    states = list(leaves)
    for left, right in scratch.merges(tree):
        both = operations.cat([states[left], states[right]])
        states.append(operations.tanh(operations.linear(both, weight, bias)))
    return operations.stack(states)


def _sequence_nll(input, target, lengths=None, reduction="mean"):
    target = steps_that_count(raw(input), target, lengths)[1]
    real = target >= 0  # (T, N)
    classes = np.where(real, target, 0)[..., None]
    log_p = operations.gather(operations.log_softmax(input, 2), 2, classes)[..., 0]
    loss = -(log_p * real).sum(0)  # (N,)
    return loss if reduction == "none" else getattr(loss, reduction)()


recursive_states = register(
    scratch.recursive_states, scratch.recursive_states_backward, _recursive_states
)
sequence_nll = register(nll_of_arrays, sequence_nll_backward, _sequence_nll)
