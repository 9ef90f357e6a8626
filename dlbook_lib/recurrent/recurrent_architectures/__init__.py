"""Recurrent networks that read both ways, think longer at each step, follow a tree, or
turn one sequence into another; and the search for the best output."""
