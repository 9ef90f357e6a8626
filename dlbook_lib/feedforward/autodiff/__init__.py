"""Grow back-propagation into a general automatic-differentiation engine, then
differentiate twice."""
