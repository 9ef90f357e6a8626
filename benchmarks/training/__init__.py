"""Training on real data: scripts that run for a minute or so."""
