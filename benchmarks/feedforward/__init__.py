"""The rows of the chapter on feedforward networks, and who takes part in them."""

from benchmarks.harness import Side
from benchmarks.rows import Freed, Imports, Peak, Speed, Sweep

REFERENCE = Side("PyTorch", f"{__name__}.pytorch")
OURS = Side("ours", f"{__name__}.ours")
NAMES = "autograd", "mygrad", "micrograd", "jax"
PEERS = {name: f"{__name__}.peer_{name}" for name in NAMES}

XOR = {
    "1 network, 4 examples, 2-2-1": (1, 4, 2, 2),
    "100 networks, 4 examples, 2-16-1": (100, 4, 2, 16),
    "1 network, 100 examples, 392-64-1": (1, 100, 392, 64),
    "1 network, 1,000 examples, 784-256-1": (1, 1000, 784, 256),
}
ROWS = [
    Speed(
        "mlp",
        "MLP 784-256-256-10, batch of 128: one training step",
        "mlp",
        goal=(0.80, 0.50),
        stretch=(0.75, 0.45),
        flops=2 * 128 * (2 * 784 * 256 + 3 * 256 * 256 + 3 * 256 * 10),
    ),
    Speed(
        "mlp_readable",
        "The same, by the network that the page reads line by line",
        "mlp_readable",
    ),
    Speed(
        "cross_entropy",
        "Softmax cross-entropy, 256 × 10,000: value and gradient",
        "cross_entropy",
        goal=0.65,
        stretch=0.45,
    ),
    Speed(
        "chain",
        "Automatic differentiation: a chain of 1,000 tiny operations, there and back",
        "chain",
        {"length": 1000},
        goal=0.65,
        stretch=0.50,
    ),
    Speed(
        "hvp",
        "Automatic differentiation: Hessian-vector product of a small MLP",
        "hvp",
        goal=0.90,
        stretch=0.75,
        in_mean=False,
    ),
    Sweep(
        "long_chain",
        "A chain of up to 100,000 tiny operations, there and back",
        "chain",
        {length: {"length": length} for length in (1000, 10_000, 100_000)},
    ),
    Freed(
        "freed",
        "Objects that a chain of 1,000 operations leaves to the garbage collector",
        "chain",
        {"length": 1000},
    ),
    Sweep(
        "mlp_batch",
        "MLP 784-256-256-10: batches",
        "mlp",
        {batch: {"batch": batch} for batch in (16, 32, 64, 128, 256, 512, 1024)},
    ),
    Sweep(
        "classes",
        "Softmax cross-entropy of 256 examples: classes",
        "cross_entropy",
        {classes: {"classes": classes} for classes in (100, 1000, 10_000, 50_000)},
    ),
    Sweep(
        "chain_length",
        "Chain of tiny operations: length",
        "chain",
        {length: {"length": length} for length in (100, 300, 1000, 3000, 10_000)},
    ),
    Sweep(
        "xor_training",
        "Two-layer network: ten steps of training, whole networks at once",
        "xor_step",
        {
            label: dict(zip(("stack", "examples", "inputs", "width"), n, strict=True))
            for label, n in XOR.items()
        },
        grows=False,
    ),
    Peak(
        "cross_entropy_memory",
        "Softmax cross-entropy, 256 × 10,000: peak memory beyond the inputs",
        "cross_entropy",
        goal=0.40,
        stretch=None,
    ),
    Peak(
        "mlp_memory",
        "MLP 784-256-256-10, batch of 128: peak memory of a step beyond the inputs",
        "mlp",
        goal=1.25,
    ),
    Peak(
        "mlp_readable_memory",
        "The same, by the network that the page reads line by line",
        "mlp_readable",
        goal=1.25,
    ),
    Peak(
        "chain_memory",
        "Chain of 10,000 tiny operations: peak memory beyond the inputs",
        "chain",
        {"length": 10_000},
        goal=1.25,
    ),
    Imports("imports", "Import time", "*/*/scratch.py"),
]
