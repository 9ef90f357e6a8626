"""The training kit of a convolution layer: strides, padding, dilation and groups, the
three operations that training needs, their transpose, and layers without sharing."""
