"""The helper package of the book: each idea from scratch in NumPy and in PyTorch."""
