"""Sequences: ragged batches, padded and packed (`packing`), windows of time, and one
rule for every step that makes a state out of the last state and the next input
(`scratch`); cells, time-delay networks, and which inputs lead to which outputs
(`layers`)."""
