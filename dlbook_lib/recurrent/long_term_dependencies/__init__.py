"""Why distance in time hurts, and the classical remedies: leaky units, several clocks
and links that skip (`scratch`, `layers`), recurrent weights that are never trained
(`reservoirs`), random steps and a penalty on lost gradients (`gradients`); and
sequences on which memory can be measured (`tasks`)."""
