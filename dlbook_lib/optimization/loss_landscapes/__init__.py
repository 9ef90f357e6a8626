"""Surfaces to walk on, curvature read through products, and methods that use it."""
