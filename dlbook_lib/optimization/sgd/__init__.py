"""Stochastic gradient descent, and what all optimizers have in common (`scratch`); how
the learning rate changes while it runs (`schedules`)."""
