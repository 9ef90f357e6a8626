"""Feedforward networks, from the linear model to automatic differentiation."""
