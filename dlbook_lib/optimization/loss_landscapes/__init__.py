"""What can be asked of any loss (`scratch`); surfaces to walk on (`surfaces`); methods
that step by curvature (`second_order`), and a network as a function that they can step
on (`parameters`)."""
