"""Stability along chosen directions: attacks, adversarial and virtual adversarial
losses (`scratch`); tangents of pictures and of data, distances along them, tangent prop
and double backprop (`tangents`)."""
