"""Optimization: from minibatches to shortcut connections."""
