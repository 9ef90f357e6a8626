"""Shorter paths for information and gradients: residual, gated and dense shortcuts."""
