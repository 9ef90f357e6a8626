"""Derive losses from probability models and from the statistic one wants to
predict."""
