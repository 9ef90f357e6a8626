"""Back-propagation by hand: derived, coded for networks of any depth, and checked."""
