"""Three questions about kernels: how to apply them fast (Fourier transform, separable
kernels, Winograd), where brains get them (simple and complex cells, Gabor functions),
and whether they must be trained (random and k-means kernels)."""
