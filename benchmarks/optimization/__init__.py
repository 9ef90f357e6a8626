"""The rows of the chapter on optimization, and who takes part in them."""

from benchmarks.harness import Side
from benchmarks.rows import Peak, Speed, Sweep

REFERENCE = Side("PyTorch", f"{__name__}.pytorch")
OURS = Side("ours", f"{__name__}.ours")
PEERS = {name: f"{__name__}.peer_{name}" for name in ("autograd", "mygrad", "jax")}

ROWS = [
    Speed(
        "adam",
        "Adam: one step of 1,000,000 parameters in 16 tensors",
        "adam",
        goal=0.70,
        stretch=0.60,
    ),
    Speed(
        "adam_readable",
        "The same, by the optimizer that the page reads line by line",
        "adam_readable",
    ),
    Speed(
        "batch_norm",
        "Batch normalization, 64 × 32 × 28 × 28, ours batch last: forward and backward",
        "batch_norm",
        goal=0.45,
        stretch=0.35,
    ),
    Speed(
        "batch_norm_readable",
        "The same, batch first, by the function that the page reads line by line",
        "batch_norm_readable",
    ),
    Sweep(
        "adam_parameters",
        "Adam: parameters in 16 tensors",
        "adam",
        {n: {"parameters": n} for n in (10_000, 100_000, 1_000_000, 10_000_000)},
    ),
    Sweep(
        "batch_norm_batch",
        "Batch normalization, 32 × 28 × 28: batches",
        "batch_norm",
        {batch: {"batch": batch} for batch in (8, 16, 32, 64, 128)},
    ),
    Sweep(
        "batch_norm_channels",
        "Batch normalization, 64 images of 28 × 28: channels",
        "batch_norm",
        {channels: {"channels": channels} for channels in (8, 16, 32, 64)},
    ),
    Peak(
        "adam_memory",
        "Adam, 1,000,000 parameters: peak memory of a step beyond parameters",
        "adam",
        goal=1.25,
    ),
    Peak(
        "batch_norm_memory",
        "Batch normalization, 64 × 32 × 28 × 28: peak memory beyond the inputs",
        "batch_norm",
        goal=1.25,
    ),
]
