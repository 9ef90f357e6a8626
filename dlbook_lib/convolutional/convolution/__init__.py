"""Convolution and cross-correlation: the operation by its definition, as a sum over
taps, as a matrix, as one product of unfolded windows, and row by row in the cache
(`scratch`); the same on Tensors (`second_derivatives`)."""
