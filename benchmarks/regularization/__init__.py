"""The rows of the chapter on regularization, and who takes part in them."""

from benchmarks.harness import Side
from benchmarks.rows import Peak, Speed, Sweep

REFERENCE = Side("PyTorch", f"{__name__}.pytorch")
OURS = Side("ours", f"{__name__}.ours")
PEERS = {"jax": f"{__name__}.peer_jax"}

ROWS = [
    Speed(
        "dropout",
        "Dropout of 1,000,000 units, forward and backward",
        "dropout",
        goal=0.08,
        stretch=0.06,
    ),
    Speed(
        "dropout_readable",
        "The same, by the mask that the page reads line by line",
        "dropout_readable",
    ),
    Sweep(
        "dropout_units",
        "Dropout: units",
        "dropout",
        {units: {"units": units} for units in (10_000, 100_000, 1_000_000)},
    ),
    Peak(
        "dropout_memory",
        "Dropout of 1,000,000 units: peak memory beyond the inputs",
        "dropout",
        goal=1.25,
    ),
]
