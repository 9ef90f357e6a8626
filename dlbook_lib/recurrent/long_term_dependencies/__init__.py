"""Why distance in time hurts, and the classical remedies: reservoirs, links that skip,
leaky units, several clocks, clipped or random steps, a penalty on lost gradients."""
