"""Back-propagation through time: by hand, with all inputs in one product, truncated
(`scratch`); what makes layers, directions and lengths of any such kernel (`kernels`);
recurrent layers, and a network that writes text, a letter at a time (`layers`)."""
