"""Attention: dot-product, scaled, additive and multi-head, and masks (`scratch`); a
kernel that takes the scores a tile at a time (`tiled`); and layers with torch's names
(`layers`)."""
