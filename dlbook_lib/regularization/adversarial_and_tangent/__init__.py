"""Adversarial examples and tangents: stability along chosen directions."""
