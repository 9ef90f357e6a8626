"""L2, L1 and group penalties: gradients, thresholds and closed forms (`scratch`); norms
as constraints, by projection (`projections`)."""
