"""Architectures from AlexNet to FractalNet: what each added, layer by layer arithmetic
against the published counts, and the building blocks as trainable modules."""
