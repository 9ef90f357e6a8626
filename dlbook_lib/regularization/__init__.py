"""Regularization: penalties, noise, ensembles, more ways to err less on new data."""
