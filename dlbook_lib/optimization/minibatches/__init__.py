"""What training minimises instead of the error, and descent on minibatches (`scratch`);
what a gradient of few examples is worth (`gradients`)."""
