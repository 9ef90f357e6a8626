"""How fast the library is beside PyTorch and other libraries: `make bench`."""
