"""Strength borrowed across inputs, tasks and weights (`scratch`); sparse codes
(`codes`); networks that lose weights or gain units (`sizes`)."""
