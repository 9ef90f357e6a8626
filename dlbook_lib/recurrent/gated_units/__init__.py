"""Gated units: UGRNN, GRU and LSTM, cell by cell and in whole sequences, with the
products of all gates taken at once where speed counts."""
