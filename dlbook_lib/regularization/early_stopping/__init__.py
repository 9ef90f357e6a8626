"""Early stopping: its bookkeeping, what to do with the held-out data afterwards, and
how it resembles weight decay (`scratch`)."""
