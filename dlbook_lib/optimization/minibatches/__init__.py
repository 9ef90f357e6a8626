"""What training minimises instead of the error, and what a gradient of few examples is
worth, in NumPy (`scratch`) and in PyTorch (`pytorch`).
"""
