"""The rows of the chapter on applications, and who takes part in them."""

from benchmarks.harness import Side
from benchmarks.rows import Peak, Speed, Sweep

REFERENCE = Side("PyTorch", f"{__name__}.pytorch")
OURS = Side("ours", f"{__name__}.ours")
PEERS = {name: f"{__name__}.peer_{name}" for name in ("autograd", "mygrad", "jax")}

# Of queries with keys. The task has two such products in the forward pass and four in
# the backward; that ours then multiplies queries with keys again is not counted.
PRODUCT = 2 * 16 * 4 * 128 * 128 * 16
LONG = {"length": 1024, "batch": 4}
ROWS = [
    Speed(
        "attention",
        "Attention, batch of 16, 4 heads of 16, length 128: forward and backward",
        "attention",
        goal=(0.95, 0.65),
        stretch=(0.85, 0.55),
        flops=6 * PRODUCT,
    ),
    Speed(
        "attention_readable",
        "The same, by the function that the page reads line by line",
        "attention_readable",
    ),
    Speed(
        "attention_tiled",
        "Attention, batch of 4, length 1,024: forward and backward",
        "attention",
        LONG,
        goal=(1.1, 0.9),
        flops=6 * 16 * PRODUCT,
        in_mean=False,
    ),
    Sweep(
        "attention_length",
        "Attention, batch of 4: length",
        "attention",
        {n: {"length": n, "batch": 4} for n in (32, 64, 128, 256, 512, 1024)},
    ),
    Peak(
        "attention_memory",
        "Attention, batch of 16, length 128: peak memory beyond the inputs",
        "attention",
        goal=1.25,
    ),
    Peak(
        "attention_tiled_memory",
        "Attention, batch of 4, length 1,024: peak memory beyond the inputs",
        "attention",
        LONG,
        goal=1.25,
    ),
]
