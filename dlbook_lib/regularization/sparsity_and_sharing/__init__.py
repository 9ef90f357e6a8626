"""Strength borrowed across inputs, tasks, weights and units, sparse
codes,
and networks that change their size, in NumPy (`scratch`) and in PyTorch (`pytorch`).
"""
