"""Recurrent networks: one rule, applied at every step of a sequence to a state."""
