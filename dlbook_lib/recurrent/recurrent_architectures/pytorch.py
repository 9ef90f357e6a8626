"""Search for the best sequence, and trees, in PyTorch."""

import torch
from torch.nn.functional import linear


def check_search(start, stop, max_length):
    """As in scratch; no shapes."""
    if min(start, stop) < 0 or max_length < 1:
        raise ValueError(
            f"check_search: start {start}, stop {stop}, {max_length} steps"
        )


def as_log_probs(log_probs, stop):
    """As in scratch: (V,)."""
    if log_probs.ndim != 1 or stop >= len(log_probs) or log_probs.max() > 1e-6:
        raise ValueError("as_log_probs: log_probs must be logarithms, of all symbols")
    return log_probs


def greedy_decode(step, state, start, stop, max_length=50):
    """As in scratch; `step` gives tensors (V,)."""
    check_search(start, stop, max_length)
    tokens, total, token = [], 0.0, start
    while not tokens or (token != stop and len(tokens) < max_length):
        log_probs, state = step(token, state)
        log_probs = as_log_probs(log_probs, stop)
        token = int(log_probs.argmax())
        tokens.append(token)
        total += float(log_probs[token])
    return tokens, total


def normalized(log_prob, length, alpha=0.0):
    """As in scratch: a number, or (...)."""
    return log_prob / length ** float(alpha)


def beam_search(step, state, start, stop, beam_size=5, max_length=50, alpha=0.0):
    """As in scratch; `step` gives tensors (V,)."""
    check_search(start, stop, max_length)
    alive, found = [(0.0, [], state)], []
    for _ in range(max_length):
        grown = []
        for total, tokens, state in alive:
            log_probs, after = step(tokens[-1] if tokens else start, state)
            as_log_probs(log_probs, stop)
            for token, log_prob in enumerate(log_probs.tolist()):
                grown.append((total + log_prob, [*tokens, token], after))
        grown.sort(key=lambda each: (-each[0], each[1]))
        best = [g for g in grown[: beam_size - len(found)] if g[0] > -torch.inf]
        found += [each for each in best if each[1][-1] == stop]
        alive = [each for each in best if each[1][-1] != stop]
        if not alive:
            break
    scored = [(t, float(normalized(p, len(t), alpha))) for p, t, _ in found + alive]
    return sorted(scored, key=lambda each: (-each[1], each[0]))


def chain_tree(n):
    """As in scratch: nested pairs."""
    tree = 0
    for leaf in range(1, n):
        tree = tree, leaf
    return tree


def balanced_tree(n, first=0):
    """As in scratch: nested pairs."""
    if n == 1:
        return first
    half = n // 2
    return balanced_tree(half, first), balanced_tree(n - half, first + half)


def merges(tree):
    """As in scratch: (n - 1, 2)."""
    order, todo = [], [tree]
    while todo:
        node = todo.pop()
        order.append(node)
        if isinstance(node, tuple):
            todo += node
    leaves = sum(not isinstance(node, tuple) for node in order)
    rows, ids = [], []
    for node in reversed(order):
        if isinstance(node, tuple):
            rows.append([ids.pop(), ids.pop()][::-1])
            ids.append(leaves + len(rows) - 1)
        else:
            ids.append(node)
    return torch.tensor(rows, dtype=torch.long).view(-1, 2)


def tree_depth(tree):
    """As in scratch: a whole number."""
    rows = merges(tree).tolist()
    depth = [0] * (len(rows) + 1)
    for left, right in rows:
        depth.append(1 + max(depth[left], depth[right]))
    return depth[-1]


def recursive_states(leaves, tree, weight, bias):
    """As in scratch: (2 * n - 1, H)."""
    states = list(leaves)
    for left, right in merges(tree).tolist():
        both = torch.cat([states[left], states[right]])
        states.append(linear(both, weight, bias).tanh())
    return torch.stack(states)


def with_stop(target, start, stop, lengths=None):
    """As in scratch: (T + 1, N) twice, and (N,)."""
    target = torch.as_tensor(target)
    steps, count = target.shape
    where = {"device": target.device}
    lengths = torch.as_tensor([steps] * count if lengths is None else lengths, **where)
    ended = torch.arange(steps, **where)[:, None] >= lengths
    known = target.masked_fill(ended, stop)
    first, last = (torch.full((1, count), k, **where) for k in (start, stop))
    return torch.cat([first, known]), torch.cat([known, last]), lengths + 1
