"""Stochastic gradient descent, and how its learning rate changes while it runs
(`scratch`)."""
