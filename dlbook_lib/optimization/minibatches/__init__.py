"""What training minimises instead of the error, and what a gradient of few examples is
worth (`scratch`)."""
