"""The layers step by step, in the words that NumPy and its look-alikes share.

`xp` is the look-alike; `x` is (T, N, D), and the result the list of all states (N, H).
"""

import numpy as np


def sigmoid(xp, z):
    return 1 / (1 + xp.exp(-z))


def start(x, w_hh):
    return np.zeros((x.shape[1], w_hh.shape[1]), "f4")


def parts(z, n):
    size = z.shape[1] // n
    return [z[:, i * size : (i + 1) * size] for i in range(n)]


def rnn(xp, x, w_ih, w_hh, b_ih, b_hh):
    h, states = start(x, w_hh), []
    for t in range(len(x)):
        h = xp.tanh(xp.matmul(x[t], w_ih.T) + b_ih + xp.matmul(h, w_hh.T) + b_hh)
        states.append(h)
    return states


def gru(xp, x, w_ih, w_hh, b_ih, b_hh):
    h, states = start(x, w_hh), []
    for t in range(len(x)):
        a = parts(xp.matmul(x[t], w_ih.T) + b_ih, 3)
        b = parts(xp.matmul(h, w_hh.T) + b_hh, 3)
        r, u = sigmoid(xp, a[0] + b[0]), sigmoid(xp, a[1] + b[1])
        n = xp.tanh(a[2] + r * b[2])
        h = n + u * (h - n)
        states.append(h)
    return states


def lstm(xp, x, w_ih, w_hh, b_ih, b_hh):
    h, states = start(x, w_hh), []
    c = h
    for t in range(len(x)):
        z = xp.matmul(x[t], w_ih.T) + b_ih + xp.matmul(h, w_hh.T) + b_hh
        i, f, g, o = parts(z, 4)
        c = sigmoid(xp, f) * c + sigmoid(xp, i) * xp.tanh(g)
        h = sigmoid(xp, o) * xp.tanh(c)
        states.append(h)
    return states
