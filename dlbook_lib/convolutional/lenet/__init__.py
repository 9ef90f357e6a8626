"""LeNet-5 as published in 1998, and as it is built today, for handwritten digits: what
its layers compute and how it is trained (`scratch`), the same on Tensors
(`second_derivatives`), layers and networks (`layers`); its targets and connections
(`codes`), checks of arguments (`arguments`), and a training step without Tensors
(`batch_last`)."""
