"""The rows of the chapter on recurrent networks, and who takes part in them."""

from benchmarks.harness import Side
from benchmarks.rows import Peak, Speed, Sweep

REFERENCE = Side("PyTorch", f"{__name__}.pytorch")
OURS = Side("ours", f"{__name__}.ours")
PEERS = {name: f"{__name__}.peer_{name}" for name in ("autograd", "mygrad", "jax")}

STEP = 50 * 32 * 128 * 128  # multiplications of inputs, or of states, with one gate
ROWS = [
    Speed(
        "lstm",
        "LSTM of 128 units, 50 steps, batch of 32: forward and backward",
        "lstm",
        goal=(2.0, 1.3),
        stretch=(1.8, 1.1),
        flops=2 * 6 * 4 * STEP,
    ),
    Speed(
        "lstm_readable",
        "The same, by the function that the page reads line by line",
        "lstm_readable",
    ),
    Speed(
        "gru",
        "GRU of 128 units, 50 steps, batch of 32: forward and backward",
        "gru",
        goal=(0.70, 0.45),
        stretch=(0.60, 0.40),
        flops=2 * 6 * 3 * STEP,
    ),
    Speed(
        "gru_readable",
        "The same, by the function that the page reads line by line",
        "gru_readable",
    ),
    Speed(
        "rnn",
        "Tanh layer of 128 units, 50 steps, batch of 32: forward and backward",
        "rnn",
        goal=(0.65, 0.40),
        stretch=(0.55, 0.35),
        flops=2 * 6 * STEP,
    ),
    Speed(
        "rnn_readable",
        "The same, by the function that the page reads line by line",
        "rnn_readable",
    ),
    Sweep(
        "lstm_length",
        "LSTM of 128 units, batch of 32: steps",
        "lstm",
        {length: {"length": length} for length in (10, 20, 50, 100, 200)},
    ),
    Sweep(
        "lstm_batch",
        "LSTM of 128 units, 50 steps: batches",
        "lstm",
        {batch: {"batch": batch} for batch in (1, 8, 32, 128)},
    ),
    Sweep(
        "lstm_hidden",
        "LSTM, 50 steps, batch of 32: units",
        "lstm",
        {hidden: {"hidden": hidden} for hidden in (32, 64, 128, 256, 512)},
    ),
    *(
        Peak(
            f"{kind}_memory",
            f"{kind.upper()} of 128 units, 50 steps, batch of 32: peak memory",
            kind,
            goal=1.5,
        )
        for kind in ("lstm", "gru", "rnn")
    ),
]
