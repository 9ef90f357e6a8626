"""Bagging, boosting and dropout: ensembles, trained one by one or all at once, as
functions and as layers (`scratch`)."""
