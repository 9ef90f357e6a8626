"""Architectures from AlexNet to FractalNet: the building blocks as modules to train
(`scratch`), what they need on Tensors (`second_derivatives`), and layer by layer
arithmetic against the published counts (`counts`)."""
