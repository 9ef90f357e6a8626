"""Shorter paths for information and gradients: residual, gated and dense shortcuts
(`scratch`); the same on Tensors (`second_derivatives`), and as modules (`layers`)."""
