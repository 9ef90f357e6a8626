"""Back-propagation through time: by hand, with all inputs in one product, through
layers and directions, truncated; and a network that writes text, a letter at a time."""
