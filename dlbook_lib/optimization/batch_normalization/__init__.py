"""Batch normalisation and its relatives: the transform, its gradient, and the running
statistics that take the batch's place in use (`scratch`); the same on Tensors
(`second_derivatives`), and as modules (`layers`)."""
