"""Dropout and DropConnect, as functions and as layers (`scratch`); the ensembles behind
them, written out: all masks, bagging, boosting (`ensembles`)."""
