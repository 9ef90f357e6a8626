"""Trees that can be differentiated twice, for Tensors.

Each name is that of a function in `scratch`, on a `Tensor` (n, H) instead of an array.
The pair there gives values and gradients; what stands here is the definition in
operations on Tensors, and serves where the gradient is differentiated again.
"""

from dlbook_lib.feedforward.autodiff import operations
from dlbook_lib.feedforward.autodiff.engine import register
from dlbook_lib.recurrent.recurrent_architectures import scratch


def _recursive_states(leaves, tree, weight, bias):
    states = list(leaves)
    for left, right in scratch.merges(tree):
        both = operations.cat([states[left], states[right]])
        states.append(operations.tanh(operations.linear(both, weight, bias)))
    return operations.stack(states)


recursive_states = register(
    scratch.recursive_states, scratch.recursive_states_backward, _recursive_states
)
