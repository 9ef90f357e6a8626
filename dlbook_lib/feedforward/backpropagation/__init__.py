"""Derive, code and check back-propagation for a fully connected network."""
