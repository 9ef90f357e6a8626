"""Recurrent networks that read both ways, think longer at each step, follow a tree, or
turn one sequence into another (`layers`); trees, and the search for the best output
(`scratch`)."""
