"""Gated units, UGRNN, GRU and LSTM: cell by cell and in whole sequences (`scratch`),
with the products of all gates taken at once where speed counts (`at_once`), and as
modules (`layers`)."""
