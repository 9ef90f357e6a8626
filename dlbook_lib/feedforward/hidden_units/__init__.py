"""A tour of activation functions with their gradients, failure modes and initial-
bias tricks."""
