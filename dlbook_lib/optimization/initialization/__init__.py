"""Where to start, how large, and how to tell it is wrong from a single minibatch
(`scratch`)."""
