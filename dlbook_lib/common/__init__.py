"""Shared by all pages: checks, data, figures, claims, exercises, source, devices."""
