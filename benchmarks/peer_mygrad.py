"""What MyGrad's sides share: a result, and all gradients that come back from `dy`."""

import mygrad


def step(function, arrays, dy):
    """A step of a function of so many tensors."""

    def once():
        given = [mygrad.tensor(each) for each in arrays]
        y = function(*given)
        y.backward(dy)
        return [y.data] + [each.grad for each in given]

    return once
