"""Choose the output layer by the distribution it parameterises, from a Gaussian
mean to a mixture density."""
