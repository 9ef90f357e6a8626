"""L2, L1 and group penalties from every side: gradients, thresholds, closed forms and
projections (`scratch`)."""
