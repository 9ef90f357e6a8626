"""XOR by logic, by hand and by learning: what a hidden layer is for."""
