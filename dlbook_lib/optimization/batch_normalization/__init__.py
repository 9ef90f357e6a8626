"""Batch normalisation and its relatives: the transform, its gradient, and the running
statistics that take the batch's place in use."""
