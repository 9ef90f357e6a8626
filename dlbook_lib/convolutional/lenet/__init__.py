"""LeNet-5 as published in 1998, and as it is built today, for handwritten digits."""
