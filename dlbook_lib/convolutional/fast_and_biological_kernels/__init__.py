"""Three questions about kernels: how to apply them fast (`scratch` by Fourier transform
and separable kernels, `winograd`), where brains get them (`cells`: simple and complex
cells, Gabor functions), and whether they must be trained (`features`: random and
k-means kernels); the same on Tensors (`second_derivatives`)."""
