"""micrograd's side: a graph of single numbers; only the chain is of its size.

Its order of the graph is found by recursion, so the limit of Python is raised.
"""

import sys

from micrograd.engine import Value

from benchmarks.feedforward import inputs

sys.setrecursionlimit(10**6)


def chain(length):
    if length > 1000:
        return None  # so deep a recursion would need a larger stack than there is

    def step():
        x, factor, summand = numbers = [Value(float(n[0])) for n in inputs.chain()]
        for _ in range(length // 2):
            x = x * factor + summand
        x.backward()
        return [number.grad for number in numbers]

    return step
