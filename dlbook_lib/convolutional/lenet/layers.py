"""LeNet-5 in NumPy: its layers, the network of 1998, its usual remake, and their sizes.

Everything here can be differentiated twice. The 1998 network takes 32 by 32 pixels and
answers with ten distances, the smallest of which names the digit; the remake takes 28
by 28 pixels and answers with ten scores, the largest of which does.
"""

import numpy as np

from dlbook_lib.common.checks import as_float, check_positive, check_rng
from dlbook_lib.convolutional.lenet import second_derivatives as tensors
from dlbook_lib.convolutional.lenet.arguments import check_pixels, connections
from dlbook_lib.convolutional.lenet.codes import C3_TABLE
from dlbook_lib.convolutional.lenet.scratch import digit_codes
from dlbook_lib.convolutional.pooling.second_derivatives import max_pool2d_by_halves
from dlbook_lib.convolutional.strides_and_gradients.arguments import check_dtype
from dlbook_lib.convolutional.strides_and_gradients.layers import Conv2d
from dlbook_lib.feedforward.autodiff.modules import Buffer, Linear, Module, Parameter
from dlbook_lib.feedforward.autodiff.operations import relu

WEIGHTS = {"C1": 156, "S2": 12, "C3": 1516, "S4": 32, "C5": 48_120, "F6": 10_164}
"""The published numbers of trainable weights, 60,000 together."""


def start_(parameter, fan_in, rng):
    """Draw a Parameter (...) anew, uniform in ±2.4 / `fan_in`.

    Source: LeCun et al. (1998), appendix A.
    """
    check_positive(fan_in, "fan_in", integer=True)
    check_rng(rng)
    bound = 2.4 / fan_in
    draw = rng.uniform(-bound, bound, parameter.data.shape)
    parameter.data[...] = draw.astype(parameter.data.dtype)
    return parameter


class Subsampling2d(Module):
    """`subsample2d` with `weight` (channels,) and `bias` (channels,).

    >>> layer = Subsampling2d(6, rng=np.random.default_rng(0))
    >>> layer(np.ones((1, 6, 28, 28))).shape, sum(p.numel() for p in layer.parameters())
    ((1, 6, 14, 14), 12)
    """

    def __init__(self, channels, *, rng, dtype=float):
        super().__init__()
        check_positive(channels, "channels", integer=True)
        check_rng(rng)
        check_dtype(dtype)
        self.weight = start_(Parameter(np.empty(channels, dtype)), 4, rng)
        self.bias = start_(Parameter(np.empty(channels, dtype)), 4, rng)

    def forward(self, input):
        """Outputs (N, channels, H / 2, W / 2) for `input` (N, channels, H, W)."""
        return tensors.subsample2d(input, self.weight, self.bias)


class PartialConv2d(Module):
    """`partial_conv2d` with `weight` (connections, k, k) and `bias` (maps,).

    >>> layer = PartialConv2d(C3_TABLE, 5, rng=np.random.default_rng(0))
    >>> sum(p.numel() for p in layer.parameters())
    1516
    """

    def __init__(self, table, kernel_size, *, rng, dtype=float):
        super().__init__()
        check_positive(kernel_size, "kernel_size", integer=True)
        check_rng(rng)
        check_dtype(dtype)
        outputs = connections(table)[0]
        self.table, k = table, kernel_size
        self.weight = Parameter(np.empty((len(outputs), k, k), dtype))
        self.bias = Parameter(np.empty(len(table), dtype))
        for i, output in enumerate(outputs):  # a map that sees less starts larger
            fan_in = len(table[output]) * k * k
            start_(Parameter(self.weight.data[i]), fan_in, rng)
        start_(self.bias, min(len(maps) for maps in table) * k * k, rng)

    def forward(self, input):
        """Outputs (N, maps, H − k + 1, W − k + 1) for `input` (N, C, H, W)."""
        return tensors.partial_conv2d(input, self.weight, self.bias, self.table)


class RBF(Module):
    """Distances to codes `weight` (classes, features) that training leaves alone.

    >>> RBF(digit_codes())(digit_codes()).data.argmin(axis=1).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    """

    def __init__(self, codes):
        super().__init__()
        self.weight = Buffer(as_float(codes, "codes", ndim=2))

    def forward(self, input):
        """Squared distances (N, classes) for `input` (N, features)."""
        return tensors.rbf(input, self.weight)


class LeNet5(Module):
    """The network of 1998, with 60,000 trainable weights.

    C1 and C3 are convolutions, C3 after `C3_TABLE`; S2 and S4 subsample; C5 is a
    convolution of which one place is left; F6 is dense; the output measures distances
    to pictures of the digits. `scaled_tanh` stands behind every layer but the last.

    Source: LeCun et al. (1998), section II.B.

    >>> net = LeNet5(rng=np.random.default_rng(0))
    >>> net(np.zeros((2, 1, 32, 32))).shape, sum(p.numel() for p in net.parameters())
    ((2, 10), 60000)
    """

    def __init__(self, *, rng, dtype=float):
        super().__init__()
        check_rng(rng)
        check_dtype(dtype)
        same = {"rng": rng, "dtype": dtype}
        self.c1 = Conv2d(1, 6, 5, **same)
        self.s2 = Subsampling2d(6, **same)
        self.c3 = PartialConv2d(C3_TABLE, 5, **same)
        self.s4 = Subsampling2d(16, **same)
        self.c5 = Conv2d(16, 120, 5, **same)
        self.f6 = Linear(120, 84, **same)
        self.output = RBF(digit_codes(dtype))
        for layer, fan_in in ((self.c1, 25), (self.c5, 400), (self.f6, 120)):
            for parameter in layer.parameters():
                start_(parameter, fan_in, rng)

    def maps(self, input):
        """What every layer makes of `input` (N, 1, 32, 32), by name."""
        check_pixels(input, 32)
        f = tensors.scaled_tanh
        found = {"c1": f(self.c1(input))}  # (N, 6, 28, 28)
        found["s2"] = f(self.s2(found["c1"]))  # (N, 6, 14, 14)
        found["c3"] = f(self.c3(found["s2"]))  # (N, 16, 10, 10)
        found["s4"] = f(self.s4(found["c3"]))  # (N, 16, 5, 5)
        found["c5"] = f(self.c5(found["s4"]))  # (N, 120, 1, 1)
        flat = found["c5"].reshape(-1, 120)
        found["f6"] = f(self.f6(flat))  # (N, 84)
        found["output"] = self.output(found["f6"])  # (N, 10)
        return found

    def forward(self, input):
        """Squared distances (N, 10) for `input` (N, 1, 32, 32)."""
        return self.maps(input)["output"]


class LeNet5Remake(Module):
    """LeNet-5 as it is usually built today, with 61,706 parameters.

    C3 sees all maps, rectifiers stand behind the layers, the largest of 2 by 2 numbers
    is kept instead of their sum, and scores for a softmax take the place of distances.

    >>> net = LeNet5Remake(rng=np.random.default_rng(0))
    >>> net(np.zeros((2, 1, 28, 28))).shape, sum(p.numel() for p in net.parameters())
    ((2, 10), 61706)
    """

    def __init__(self, *, rng, dtype=float):
        super().__init__()
        check_rng(rng)
        check_dtype(dtype)
        same = {"rng": rng, "dtype": dtype}
        self.conv1 = Conv2d(1, 6, 5, padding=2, **same)
        self.conv2 = Conv2d(6, 16, 5, **same)
        self.fc1 = Linear(400, 120, **same)
        self.fc2 = Linear(120, 84, **same)
        self.fc3 = Linear(84, 10, **same)

    def maps(self, input):
        """What every layer makes of `input` (N, 1, 28, 28), by name."""
        check_pixels(input, 28)
        pool = max_pool2d_by_halves
        found = {"conv1": relu(self.conv1(input))}  # (N, 6, 28, 28)
        found["pool1"] = pool(found["conv1"])  # (N, 6, 14, 14)
        found["conv2"] = relu(self.conv2(found["pool1"]))  # (N, 16, 10, 10)
        found["pool2"] = pool(found["conv2"])  # (N, 16, 5, 5)
        flat = found["pool2"].reshape(-1, 400)
        found["fc1"] = relu(self.fc1(flat))  # (N, 120)
        found["fc2"] = relu(self.fc2(found["fc1"]))  # (N, 84)
        found["fc3"] = self.fc3(found["fc2"])  # (N, 10)
        return found

    def forward(self, input):
        """Scores (N, 10) for `input` (N, 1, 28, 28)."""
        return self.maps(input)["fc3"]


def layer_table(table=C3_TABLE):
    """What each layer of the 1998 network is and costs, computed from its sizes.

    Parameters
    ----------
    table : sequence of sequences of int
        The connections of C3; of shape (16,).

    Returns
    -------
    dict of str to dict
        For each layer: ``shape`` of its output, ``weights``, ``connections`` (with the
        biases), ``multiplications`` for one image, and ``field``, the side of the
        square of pixels that one unit sees.

    >>> layer_table()["C3"]["weights"], layer_table()["C3"]["field"]
    (1516, 14)
    """
    size, field, jump, found = 32, 1, 1, {}
    links = len(connections(table)[0])
    for name, maps, kernel, stride, pairs in (
        ("C1", 6, 5, 1, 6),
        ("S2", 6, 2, 2, 6),
        ("C3", len(table), 5, 1, links),
        ("S4", len(table), 2, 2, len(table)),
        ("C5", 120, 5, 1, 120 * len(table)),
        ("F6", 84, 1, 1, 84 * 120),
    ):
        size, field = (size - kernel) // stride + 1, field + (kernel - 1) * jump
        jump *= stride
        summed = name[0] == "S"  # four pixels share a weight
        inputs = pairs * kernel**2
        found[name] = {
            "shape": (maps, size, size),
            "weights": (pairs if summed else inputs) + maps,
            "connections": (inputs + maps) * size**2,
            "multiplications": (pairs if summed else inputs) * size**2,
            "field": field,
        }
    return found
