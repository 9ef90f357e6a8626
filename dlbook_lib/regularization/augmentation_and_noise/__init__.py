"""Noise on inputs, weights and labels, and transformed copies of images: moved, turned,
flipped, blurred, mixed (`scratch`)."""
