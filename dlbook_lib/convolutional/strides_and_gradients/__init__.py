"""The training kit of a convolution layer: strides, padding, dilation and groups, and
layers without sharing (`scratch`); the three operations that training needs (`by_taps`,
`by_rows`) and their transpose (`transposed`); all of it on Tensors
(`second_derivatives`), and as modules (`layers`); checks of arguments (`arguments`)."""
