"""Attention: dot-product, scaled, additive and multi-head; masks; and two kernels that
keep the scores small and close."""
