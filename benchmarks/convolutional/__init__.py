"""The rows of the chapter on convolutional networks, and who takes part in them."""

from benchmarks.harness import Side
from benchmarks.rows import Peak, Speed, Sweep

REFERENCE = Side("PyTorch", f"{__name__}.pytorch")
OURS = Side("ours", f"{__name__}.ours")
PEERS = {name: f"{__name__}.peer_{name}" for name in ("autograd", "mygrad", "jax")}

PRODUCT = 2 * 64 * 64 * 32 * 9 * 28 * 28  # of one convolution, 32 to 64 channels
ROWS = [
    Speed(
        "conv",
        "Convolution 32 to 64, 3 × 3, 28 × 28, batch of 64: forward and backward",
        "conv",
        goal=(1.8, 1.35),
        stretch=(1.5, 1.0),
        flops=3 * PRODUCT,
    ),
    Speed(
        "conv_readable",
        "The same, by the function that the page reads line by line",
        "conv_readable",
    ),
    Speed(
        "conv_batch_last",
        "The same, arrays kept batch-last beside torch's channels-last",
        "conv_batch_last",
        goal=(1.65, 1.15),
        stretch=(1.4, 0.95),
        flops=3 * PRODUCT,
        in_mean=False,
    ),
    Speed(
        "conv_winograd",
        "Convolution 256 to 256, 28 × 28, 8 images, so kept, by Winograd's method",
        "conv_winograd",
        goal=(1.3, 0.9),
        stretch=(1.1, 0.75),
        in_mean=False,
    ),
    Speed(
        "max_pool",
        "Max-pooling 2 × 2, 64 × 32 × 28 × 28, ours batch last: forward and backward",
        "max_pool",
        goal=0.25,
        stretch=0.20,
    ),
    Speed(
        "max_pool_readable",
        "The same, by the function that the page reads line by line",
        "max_pool_readable",
    ),
    Speed(
        "lenet",
        "LeNet-5, batch of 128: one training step",
        "lenet",
        goal=(0.75, 0.50),
        stretch=(0.55, 0.40),
    ),
    Speed(
        "lenet_readable",
        "The same, by the network that the page reads line by line",
        "lenet_readable",
    ),
    Sweep(
        "conv_batch",
        "Convolution 32 to 64 at 28 × 28: batches",
        "conv",
        {batch: {"batch": batch} for batch in (4, 8, 16, 32, 64, 128)},
    ),
    Sweep(
        "conv_channels",
        "Convolution of 64 images of 28 × 28: channels, in and out",
        "conv",
        {c: {"channels": c, "filters": c} for c in (8, 16, 32, 64, 128)},
    ),
    Sweep(
        "conv_side",
        "Convolution 32 to 64, batch of 16: sides of the images",
        "conv",
        {side: {"side": side, "batch": 16} for side in (8, 14, 28, 56, 112)},
    ),
    Sweep(
        "lenet_batch",
        "LeNet-5: batches",
        "lenet",
        {batch: {"batch": batch} for batch in (8, 16, 32, 64, 128, 256)},
    ),
    Peak(
        "conv_memory",
        "Convolution 32 to 64 of 64 images: peak memory beyond the inputs",
        "conv",
        goal=1.5,
    ),
    Peak(
        "conv_batch_last_memory",
        "The same, arrays kept batch-last beside torch's channels-last",
        "conv_batch_last",
        goal=1.5,
    ),
    Peak(
        "conv_winograd_memory",
        "Convolution 256 to 256 of 8 images, so kept, by Winograd's method: the same",
        "conv_winograd",
        goal=1.5,
    ),
    Peak(
        "max_pool_memory",
        "Max-pooling of 64 × 32 × 28 × 28: peak memory beyond the inputs",
        "max_pool",
        goal=1.25,
    ),
    Peak(
        "lenet_memory",
        "LeNet-5, batch of 128: peak memory of a step beyond the inputs",
        "lenet",
        goal=1.5,
    ),
]
