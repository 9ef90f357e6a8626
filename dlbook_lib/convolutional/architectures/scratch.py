"""Building blocks of convolutional networks as modules, small enough to train.

Each runs forward on the engine, can be differentiated twice and has its weights under
torch's names. Images are channels-first, (N, C, H, W). The layer arithmetic of the
large networks is in `counts`.
"""

import numpy as np

from dlbook_lib.common.checks import (
    as_float,
    check_in,
    check_number,
    check_positive,
    check_rng,
    check_same_shape,
    require,
)
from dlbook_lib.convolutional.convolution.scratch import COLUMN_BYTES, as_sizes
from dlbook_lib.convolutional.pooling.second_derivatives import avg_pool2d, max_pool2d
from dlbook_lib.convolutional.strides_and_gradients.arguments import check_dtype
from dlbook_lib.convolutional.strides_and_gradients.layers import Conv2d
from dlbook_lib.convolutional.strides_and_gradients.scratch import output_size
from dlbook_lib.feedforward.autodiff.modules import Linear, Module, Sequential
from dlbook_lib.feedforward.autodiff.operations import cat, flatten, mean, relu
from dlbook_lib.optimization.batch_normalization.layers import BatchNorm2d
from dlbook_lib.regularization.dropout.scratch import Dropout


def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    r"""Each number over a power of the mean square of its neighbour channels.

    .. math:: y_c=x_c\Bigl(k+\frac\alpha n\sum_{|c'-c|\le n/2}x_{c'}^2\Bigr)^{-\beta}

    Parameters
    ----------
    input : array_like (N, C, ...)
    size : int
        n channels, those beyond the first and last counted as 0; of an even number
        one more lies before.
    alpha, beta, k : float

    Returns
    -------
    ndarray (N, C, ...)

    Where conventions differ: the paper does not divide alpha by n, and has k = 2.

    Source: Krizhevsky, Sutskever and Hinton (2012), section 3.3.

    >>> local_response_norm([[[3.0], [0.0]]], 2, alpha=2.0, beta=0.5, k=1.0).round(3)
    array([[[0.949],
            [0.   ]]])
    """
    input = as_float(input, "input", empty=True)
    require(input.ndim > 2, f"input must be (N, C, ...), not {input.shape}")
    check_positive(size, "size", integer=True)
    for value, name in ((alpha, "alpha"), (beta, "beta"), (k, "k")):
        check_number(value, name)
    mean_square = across_channels(input**2, size) / size
    return input * (k + alpha * mean_square) ** -beta


def across_channels(x, size, transposed=False):
    """Sums of `size` neighbour channels of (N, C, ...), size // 2 of them before.

    The transpose has them behind.

    >>> across_channels(np.array([[1.0, 10.0, 100.0]]), 2)
    array([[  1.,  11., 110.]])
    """
    x = as_float(x, "x", empty=True)
    require(x.ndim > 1, f"x must be (N, C, ...), not {x.shape}")
    check_positive(size, "size", integer=True)
    check_in(transposed, "transposed", (False, True))
    before, after = size // 2, (size - 1) // 2
    if transposed:
        before, after = after, before
    around = [(0, 0), (before, after)] + [(0, 0)] * (x.ndim - 2)
    padded = np.pad(x, around)
    return sum(padded[:, i : i + x.shape[1]] for i in range(size))


def local_response_norm_backward(dy, input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Gradient of `local_response_norm`, for `dy` and `input` (N, C, ...).

    >>> local_response_norm_backward([[[1.0]]], [[[2.0]]], 1, 0.0)
    array([[[1.]]])
    """
    y = local_response_norm(input, size, alpha, beta, k)  # checks the arguments
    dy = as_float(dy, "dy", empty=True)
    check_same_shape(dy=dy, output=y)
    input = np.asarray(input)
    scale = k + alpha * across_channels(input**2, size) / size
    share = dy * input * scale ** (-beta - 1)
    through = across_channels(share, size, transposed=True)
    return dy * scale**-beta - 2 * alpha * beta / size * input * through


class MiniAlexNet(Module):
    """AlexNet in small, for images of 32 x 32: "conv1" to "conv5", "fc1" to "fc3".

    Parameters
    ----------
    classes, in_channels : int
    width : int
        Kernels of the first layer; the others have 3, 6, 4 and 4 times as many.
    p : float
        Probability to drop a unit before each of the first two dense layers.
    rng : numpy.random.Generator
    dtype : dtype

    >>> net = MiniAlexNet(10, width=2, rng=np.random.default_rng(0))
    >>> net(np.ones((2, 3, 32, 32))).shape
    (2, 10)
    """

    def __init__(self, classes=10, in_channels=3, width=16, p=0.5, *, rng, dtype=float):
        super().__init__()
        for name, value in (("classes", classes), ("width", width)):
            check_positive(value, name, integer=True)
        check_number(p, "p", 0, 1)
        own = {"rng": rng, "dtype": dtype}
        self.conv1 = Conv2d(in_channels, width, 5, padding=2, **own)
        self.conv2 = Conv2d(width, 3 * width, 5, padding=2, **own)
        self.conv3 = Conv2d(3 * width, 6 * width, 3, padding=1, **own)
        self.conv4 = Conv2d(6 * width, 4 * width, 3, padding=1, **own)
        self.conv5 = Conv2d(4 * width, 4 * width, 3, padding=1, **own)
        self.dropout = Dropout(p, rng=rng)
        self.fc1 = Linear(4 * width * 3 * 3, 16 * width, **own)
        self.fc2 = Linear(16 * width, 16 * width, **own)
        self.fc3 = Linear(16 * width, classes, **own)

    def forward(self, input):
        """Scores (N, classes) for `input` (N, in_channels, 32, 32)."""
        x = max_pool2d(relu(self.conv1(input)), 3, 2)  # (N, width, 15, 15)
        x = max_pool2d(relu(self.conv2(x)), 3, 2)  # (N, 3 · width, 7, 7)
        x = relu(self.conv4(relu(self.conv3(x))))
        x = max_pool2d(relu(self.conv5(x)), 3, 2)  # (N, 4 · width, 3, 3)
        x = relu(self.fc1(self.dropout(flatten(x, 1))))
        return self.fc3(relu(self.fc2(self.dropout(x))))


class VGGBlock(Module):
    """3 x 3 convolutions, "conv1", "conv2", …, then the maximum of each 2 x 2.

    Three of them see 7 x 7 pixels with 27 C² weights, one kernel of 7 x 7 takes 49 C².

    Parameters
    ----------
    in_channels, out_channels, convs : int
    rng : numpy.random.Generator
    dtype : dtype

    Source: Simonyan and Zisserman (2015), section 2.

    >>> VGGBlock(3, 4, 2, rng=np.random.default_rng(0))(np.ones((1, 3, 8, 8))).shape
    (1, 4, 4, 4)
    """

    def __init__(self, in_channels, out_channels, convs=2, *, rng, dtype=float):
        super().__init__()
        check_positive(convs, "convs", integer=True)
        for i in range(convs):
            seen = out_channels if i else in_channels
            layer = Conv2d(seen, out_channels, 3, padding=1, rng=rng, dtype=dtype)
            setattr(self, f"conv{i + 1}", layer)

    def forward(self, input):
        """Maps (N, out_channels, H // 2, W // 2) for `input` (N, in_channels, H, W)."""
        for _, layer in self.named_children():
            input = relu(layer(input))
        return max_pool2d(input, 2)


class Inception(Module):
    """Four branches side by side, "branch1" to "branch4", two with a 1 x 1 squeeze.

    Parameters
    ----------
    in_channels, ch1x1, ch3x3red, ch3x3, ch5x5red, ch5x5, pool_proj : int
        Kernels of each convolution, named as in torchvision.
    rng : numpy.random.Generator
    dtype : dtype

    Source: Szegedy et al. (2015), figure 2b.

    >>> block = Inception(4, 1, 2, 3, 1, 2, 1, rng=np.random.default_rng(0))
    >>> block(np.ones((2, 4, 6, 6))).shape
    (2, 7, 6, 6)
    """

    def __init__(
        self,
        in_channels,
        ch1x1,
        ch3x3red,
        ch3x3,
        ch5x5red,
        ch5x5,
        pool_proj,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        own = {"rng": rng, "dtype": dtype}
        self.branch1 = Conv2d(in_channels, ch1x1, 1, **own)
        self.branch2 = Sequential(
            Conv2d(in_channels, ch3x3red, 1, **own),
            Conv2d(ch3x3red, ch3x3, 3, padding=1, **own),
        )
        self.branch3 = Sequential(
            Conv2d(in_channels, ch5x5red, 1, **own),
            Conv2d(ch5x5red, ch5x5, 5, padding=2, **own),
        )
        self.branch4 = Conv2d(in_channels, pool_proj, 1, **own)

    def forward(self, input):
        """Maps (N, all of the last widths, H, W) for `input` (N, in_channels, H, W)."""
        pooled = max_pool2d(input, 3, 1, 1)
        found = [self.branch1(input)]
        for squeeze, layer in (self.branch2, self.branch3):
            found.append(layer(relu(squeeze(input))))
        return relu(cat([*found, self.branch4(pooled)], 1))


class BasicBlock(Module):
    """Two 3 x 3 convolutions that correct their input: "conv1", "bn1", "conv2", "bn2".

    Parameters
    ----------
    in_channels, out_channels, stride : int
        Where the shape changes, "downsample" projects the input by a 1 x 1 convolution
        ("0") and batch normalisation ("1").
    residual : bool
        Without the shortcut it is a plain block.
    rng : numpy.random.Generator
    dtype : dtype

    Source: He et al. (2016), figure 5, left; names as in torchvision.

    >>> block = BasicBlock(2, 4, stride=2, rng=np.random.default_rng(0))
    >>> block(np.ones((3, 2, 8, 8))).shape
    (3, 4, 4, 4)
    """

    expansion = 1

    def __init__(
        self,
        in_channels,
        out_channels,
        stride=1,
        residual=True,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        check_in(residual, "residual", (True, False))
        own, norm = {"rng": rng, "dtype": dtype}, {"dtype": dtype}
        options = {"padding": 1, "bias": False, **own}
        self.residual = residual
        self.conv1 = Conv2d(in_channels, out_channels, 3, stride, **options)
        self.bn1 = BatchNorm2d(out_channels, **norm)
        self.conv2 = Conv2d(out_channels, out_channels, 3, **options)
        self.bn2 = BatchNorm2d(out_channels, **norm)
        self.downsample = None
        if residual and (stride > 1 or in_channels != out_channels):
            self.downsample = projection(in_channels, out_channels, stride, **own)

    def forward(self, input):
        """Maps (N, out_channels, H / stride, W / stride) for `input` (N, C, H, W)."""
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(input)))))
        if self.residual:
            y = y + (self.downsample(input) if self.downsample else input)
        return relu(y)


def projection(in_channels, out_channels, stride=1, *, rng, dtype=float):
    """A shortcut that changes the shape: (N, in, H, W) to (N, out, H / stride, …).

    >>> short = projection(2, 4, 2, rng=np.random.default_rng(0))
    >>> short(np.ones((3, 2, 8, 8))).shape
    (3, 4, 4, 4)
    """
    layer = Conv2d(
        in_channels, out_channels, 1, stride, bias=False, rng=rng, dtype=dtype
    )
    return Sequential(layer, BatchNorm2d(out_channels, dtype=dtype))


class Bottleneck(Module):
    """1 x 1 down, 3 x 3, and 1 x 1 up to 4 · width channels, as a correction.

    Parameters
    ----------
    in_channels, width, stride : int
    rng : numpy.random.Generator
    dtype : dtype

    Source: He et al. (2016), figure 5, right; the stride in the 3 x 3 layer and the
    names as in torchvision.

    >>> block = Bottleneck(8, 2, rng=np.random.default_rng(0))
    >>> block(np.ones((3, 8, 5, 5))).shape, block.downsample
    ((3, 8, 5, 5), None)
    """

    expansion = 4

    def __init__(self, in_channels, width, stride=1, *, rng, dtype=float):
        super().__init__()
        check_positive(width, "width", integer=True)
        out, own = 4 * width, {"rng": rng, "dtype": dtype}
        self.conv1 = Conv2d(in_channels, width, 1, bias=False, **own)
        self.bn1 = BatchNorm2d(width, dtype=dtype)
        self.conv2 = Conv2d(width, width, 3, stride, padding=1, bias=False, **own)
        self.bn2 = BatchNorm2d(width, dtype=dtype)
        self.conv3 = Conv2d(width, out, 1, bias=False, **own)
        self.bn3 = BatchNorm2d(out, dtype=dtype)
        self.downsample = None
        if stride > 1 or in_channels != out:
            self.downsample = projection(in_channels, out, stride, **own)

    def forward(self, input):
        """Maps (N, 4 · width, H / stride, W / stride) for `input` (N, C, H, W)."""
        y = relu(self.bn1(self.conv1(input)))
        y = self.bn3(self.conv3(relu(self.bn2(self.conv2(y)))))
        return relu(y + (self.downsample(input) if self.downsample else input))


class ResNetSmall(Module):
    """The residual networks for small images: 6n + 2 layers in three stages.

    Parameters
    ----------
    blocks : int
        n basic blocks in each stage: 1, 3 and 5 for 8, 20 and 32 layers.
    width : int
        Channels of the first stage; the others have 2 and 4 times as many.
    classes, in_channels : int
    residual : bool
        Without shortcuts it is a plain network of the same depth.
    rng : numpy.random.Generator
    dtype : dtype

    Source: He et al. (2016), section 4.2; projections where the shape changes.

    >>> net = ResNetSmall(1, 4, rng=np.random.default_rng(0))
    >>> net(np.ones((2, 3, 8, 8))).shape
    (2, 10)
    """

    def __init__(
        self,
        blocks=1,
        width=16,
        classes=10,
        in_channels=3,
        residual=True,
        *,
        rng,
        dtype=float,
    ):
        super().__init__()
        check_positive(blocks, "blocks", integer=True)
        own = {"rng": rng, "dtype": dtype}
        self.conv1 = Conv2d(in_channels, width, 3, padding=1, bias=False, **own)
        self.bn1 = BatchNorm2d(width, dtype=dtype)
        seen = width
        for stage in (1, 2, 3):
            out, layers = width * 2 ** (stage - 1), []
            for i in range(blocks):
                stride = 2 if stage > 1 and i == 0 else 1
                layers.append(BasicBlock(seen, out, stride, residual, **own))
                seen = out
            setattr(self, f"layer{stage}", Sequential(*layers))
        self.fc = Linear(seen, classes, **own)

    def forward(self, input):
        """Scores (N, classes) for `input` (N, in_channels, H, W)."""
        x = relu(self.bn1(self.conv1(input)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(mean(x, (2, 3)))


def draw_paths(count, p=0.15, *, rng):
    """Which of the inputs of a join live, of shape (count,): at least one.

    Parameters
    ----------
    count : int
    p : float
        Probability to drop each.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of bool (count,)

    Source: Larsson, Maire and Shakhnarovich (2017), section 2.1, local sampling.

    >>> draw_paths(3, 1.0, rng=np.random.default_rng(0)).sum()
    np.int64(1)
    """
    check_positive(count, "count", integer=True)
    check_number(p, "p", 0, 1)
    check_rng(rng)
    live = rng.random(count) >= p
    live[rng.integers(count)] |= not live.any()
    return live


def join(outputs, live):
    """The mean of those of a list of Tensors or arrays (...) that live.

    >>> join([np.array([1.0]), np.array([5.0]), np.array([3.0])], [True, False, True])
    array([2.])
    """
    require(
        len(outputs) == len(live) and any(live),
        f"{len(outputs)} outputs need as many truth values, one of them true: {live}",
    )
    kept = [y for y, lives in zip(outputs, live, strict=True) if lives]
    total = kept[0]
    for y in kept[1:]:
        total = total + y
    return total / float(len(kept)) if len(kept) > 1 else total


class FractalBlock(Module):
    r"""A fractal, :math:`f_{C+1}=[f_C\circ f_C]\oplus\mathrm{conv}`.

    Its longest path has :math:`2^{C-1}` convolutions, its shortest one; a join takes
    the mean of all columns that end there.

    Parameters
    ----------
    in_channels, out_channels, columns : int
    p : float
        Probability to drop each input of a join in training.
    rng : numpy.random.Generator
    dtype : dtype

    Source: Larsson, Maire and Shakhnarovich (2017), section 2.

    >>> block = FractalBlock(2, 4, 3, rng=np.random.default_rng(0)).eval()
    >>> x = np.ones((1, 2, 5, 5))
    >>> block(x).shape, [block.column(x, i).shape[1] for i in range(3)]
    ((1, 4, 5, 5), [4, 4, 4])
    """

    def __init__(
        self, in_channels, out_channels, columns=3, p=0.15, *, rng, dtype=float
    ):
        super().__init__()
        check_positive(columns, "columns", integer=True)
        check_number(p, "p", 0, 1)
        own = {"rng": rng, "dtype": dtype}
        self.columns, self.p, self.rng = columns, p, rng
        options = {"padding": 1, "bias": False, **own}
        self.conv = Conv2d(in_channels, out_channels, 3, **options)
        self.bn = BatchNorm2d(out_channels, dtype=dtype)
        self.first = self.second = None
        if columns > 1:
            sizes = out_channels, columns - 1, p
            self.first = FractalBlock(in_channels, *sizes, **own)
            self.second = FractalBlock(out_channels, *sizes, **own)

    def forward(self, input):
        """Maps (N, out_channels, H, W) for `input` (N, in_channels, H, W)."""
        live = [True] * self.columns
        if self.training:
            live = draw_paths(self.columns, self.p, rng=self.rng)
        return join(self.paths(input), live)

    def paths(self, input):
        """What arrives at the last join: (N, out_channels, H, W) of each column."""
        found = [self.column(input, 0)]
        if self.columns > 1:
            found += self.second.paths(self.first(input))
        return found

    def column(self, input, index):
        """One column alone, of 2^index convolutions: (N, out_channels, H, W)."""
        require(
            index in range(self.columns),
            f"index must be 0 to {self.columns - 1}, not {index!r}",
        )
        if index == 0:
            return relu(self.bn(self.conv(input)))
        return self.second.column(self.first.column(input, index - 1), index - 1)


class DenseLayer(Module):
    """What a dense block adds: "norm1", ReLU, "conv1", "norm2", ReLU, "conv2".

    Parameters
    ----------
    in_channels, growth : int
    bn_size : int
        The 1 x 1 convolution has bn_size · growth kernels.
    rng : numpy.random.Generator
    dtype : dtype

    >>> layer = DenseLayer(3, 2, rng=np.random.default_rng(0))
    >>> layer(np.ones((1, 3, 4, 4))).shape
    (1, 5, 4, 4)
    """

    def __init__(self, in_channels, growth, bn_size=4, *, rng, dtype=float):
        super().__init__()
        check_positive(growth, "growth", integer=True)
        check_positive(bn_size, "bn_size", integer=True)
        check_dtype(dtype)
        own, wide = {"bias": False, "rng": rng, "dtype": dtype}, bn_size * growth
        self.norm1 = BatchNorm2d(in_channels, dtype=dtype)
        self.conv1 = Conv2d(in_channels, wide, 1, **own)
        self.norm2 = BatchNorm2d(wide, dtype=dtype)
        self.conv2 = Conv2d(wide, growth, 3, padding=1, **own)

    def forward(self, input):
        """`input` (N, C, H, W) and, beside it, `growth` maps more."""
        x = self.conv1(relu(self.norm1(input)))
        return cat([input, self.conv2(relu(self.norm2(x)))], 1)


class DenseBlock(Module):
    """Layers that each see all before them: "denselayer1", "denselayer2", ….

    The convolutional form of the block on the page of shortcut connections.

    Parameters
    ----------
    in_channels, growth, layers, bn_size : int
    rng : numpy.random.Generator
    dtype : dtype

    Source: Huang et al. (2017), section 3; names as in torchvision.

    >>> block = DenseBlock(3, 2, 4, rng=np.random.default_rng(0))
    >>> block(np.ones((1, 3, 4, 4))).shape
    (1, 11, 4, 4)
    """

    def __init__(self, in_channels, growth, layers, bn_size=4, *, rng, dtype=float):
        super().__init__()
        check_positive(in_channels, "in_channels", integer=True)
        check_positive(layers, "layers", integer=True)
        check_positive(growth, "growth", integer=True)
        for i in range(layers):
            sizes = in_channels + i * growth, growth, bn_size
            layer = DenseLayer(*sizes, rng=rng, dtype=dtype)
            setattr(self, f"denselayer{i + 1}", layer)

    def forward(self, input):
        """Maps (N, C + layers · growth, H, W) for `input` (N, C, H, W)."""
        for _, layer in self.named_children():
            input = layer(input)
        return input


class Transition(Module):
    """Between dense blocks: "norm", ReLU, 1 x 1 "conv", the mean of each 2 x 2.

    Parameters
    ----------
    in_channels, out_channels : int
    rng : numpy.random.Generator
    dtype : dtype

    >>> Transition(4, 2, rng=np.random.default_rng(0))(np.ones((1, 4, 6, 6))).shape
    (1, 2, 3, 3)
    """

    def __init__(self, in_channels, out_channels, *, rng, dtype=float):
        super().__init__()
        check_dtype(dtype)
        own = {"bias": False, "rng": rng, "dtype": dtype}
        self.norm = BatchNorm2d(in_channels, dtype=dtype)
        self.conv = Conv2d(in_channels, out_channels, 1, **own)

    def forward(self, input):
        """Maps (N, out_channels, H // 2, W // 2) for `input` (N, in_channels, H, W)."""
        return avg_pool2d(self.conv(relu(self.norm(input))), 2)


def occlusion_map(predict, image, size, stride=1, fill=0.0):
    """The score of an image with a square of it covered, at each place of the square.

    Parameters
    ----------
    predict : callable
        From images (N, C, H, W) to scores (N,), such as those of the true class.
    image : array_like (C, H, W)
    size, stride : int or (int, int)
        Of the square, and from place to place.
    fill : float
        What the square is painted with.

    Returns
    -------
    ndarray (OH, OW)
        Low where what is covered matters.

    Source: Zeiler and Fergus (2014), section 4.2.

    >>> image = np.array([[[0.0, 0.0, 9.0], [0.0, 0.0, 9.0]]])
    >>> occlusion_map(lambda x: x.sum(axis=(1, 2, 3)), image, (2, 1))
    array([[18., 18.,  0.]])
    """
    image = as_float(image, "image", ndim=3)
    check_number(fill, "fill")
    (kh, kw), (sh, sw) = as_sizes(size, "size"), as_sizes(stride, "stride")
    height, width = output_size(image.shape[1:], (kh, kw), (sh, sw))
    places = [(i * sh, j * sw) for i in range(height) for j in range(width)]
    few, found = max(1, min(width, COLUMN_BYTES // image.nbytes)), []
    for k in range(0, len(places), few):  # at most a row of places at a time
        some = places[k : k + few]
        covered = np.repeat(image[None], len(some), axis=0)
        for x, (i, j) in zip(covered, some, strict=True):
            x[:, i : i + kh, j : j + kw] = fill
        scores = np.asarray(predict(covered))
        wanted = f"predict must give a score for each of {len(some)}"
        require(scores.shape == (len(some),), f"{wanted}, not {scores.shape}")
        found.append(scores)
    return np.concatenate(found).reshape(height, width)
