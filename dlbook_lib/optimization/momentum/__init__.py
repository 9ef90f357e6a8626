"""Momentum in its three conventions, and the gradient after the look-ahead
(`scratch`)."""
