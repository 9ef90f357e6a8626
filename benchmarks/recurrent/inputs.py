"""The numbers that all sides start from: the same arrays in float32, by NumPy alone."""

import numpy as np

GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def sequences(kind, length=50, batch=32, hidden=128):
    """Sequences and the gradient of all states, both (T, N, H), and parameters.

    Those are torch's: weights (G · H, H) of the input and of the state, and a bias
    (G · H,) for each of them.
    """
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, length, batch, hidden), dtype="f4")
    bound, rows = hidden**-0.5, GATES[kind] * hidden
    weights = rng.uniform(-bound, bound, (2, rows, hidden)).astype("f4")
    biases = rng.uniform(-bound, bound, (2, rows)).astype("f4")
    return x, dy, [*weights, *biases]
