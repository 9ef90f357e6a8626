"""A learning rate for each parameter, from delta-bar-delta to Adam, and clipping
(`scratch`); L-BFGS as an optimizer (`lbfgs`)."""
