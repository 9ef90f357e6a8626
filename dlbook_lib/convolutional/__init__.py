"""Convolutional networks: one small kernel at every place of a grid."""
