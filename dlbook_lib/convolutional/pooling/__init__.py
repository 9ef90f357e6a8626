"""Pooling: a neighbourhood becomes one number, its largest, its mean, a norm or a draw;
how the gradient finds its way back, and how the size is chosen or undone: of images
(`scratch`), of series and volumes (`other_axes`), on Tensors (`second_derivatives`),
and as modules (`layers`)."""
