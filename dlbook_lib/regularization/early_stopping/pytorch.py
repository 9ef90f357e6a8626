"""Early stopping in PyTorch, for any `torch.nn.Module`."""

import torch


class EarlyStopping:
    """As in scratch; the state is a `state_dict` of tensors (...)."""

    def __init__(self, patience, min_delta=0.0):
        self.patience, self.min_delta = patience, min_delta
        self.evaluations = self.best_evaluation = 0
        self.best_loss, self.best_state = float("inf"), None

    def update(self, loss, state):
        """As in scratch; copies of tensors (...) stay on their device."""
        self.evaluations += 1
        if float(loss) < self.best_loss - self.min_delta:
            self.best_loss, self.best_evaluation = float(loss), self.evaluations
            self.best_state = {k: v.detach().clone() for k, v in state.items()}
        return self.evaluations - self.best_evaluation >= self.patience

    def restore(self, net):
        """As in scratch."""
        if self.best_state is None:
            raise ValueError("EarlyStopping.restore: there is nothing to restore")
        net.load_state_dict(self.best_state)


def stop_early(net, step, validate, *, patience, steps, every=1, min_delta=0.0):
    """As in scratch, for a module; running statistics (...) go back as well."""
    stopping, losses = EarlyStopping(patience, min_delta), []
    for i in range(steps):
        step(i)
        if (i + 1) % every == 0:
            with torch.no_grad():
                losses.append(float(validate()))
            if stopping.update(losses[-1], net.state_dict()):
                break
    stopping.restore(net)
    return stopping.best_evaluation * every, losses


def retrain_same_steps(net, step, *, start, steps):
    """As in scratch; `start` is a `state_dict` of tensors (...)."""
    net.load_state_dict(start)
    for i in range(steps):
        step(i)


def continue_until(step, validate, *, target, steps, every=1):
    """As in scratch; `validate` gives a tensor () or a number."""
    taken = 0
    with torch.no_grad():
        losses = [float(validate())]
    while not losses[-1] <= target and taken + every <= steps:
        for i in range(taken, taken + every):
            step(i)
        taken += every
        with torch.no_grad():
            losses.append(float(validate()))
    return taken, losses


def quadratic_path(hessian, optimum, *, lr, steps):
    """As in scratch, of tensors (D, D) and (D,); the steps are torch's own."""
    w = torch.zeros_like(optimum, requires_grad=True)
    optimizer, path = torch.optim.SGD([w], lr=lr), [w.detach().clone()]
    for _ in range(steps):
        optimizer.zero_grad()
        away = w - optimum
        (away @ hessian @ away / 2).backward()
        optimizer.step()
        path.append(w.detach().clone())
    return torch.stack(path)


def remaining(eigenvalue, *, lr, steps):
    """As in scratch, of a tensor (...)."""
    return (1 - lr * eigenvalue) ** steps


def matching_alpha(eigenvalue, *, lr, steps):
    """As in scratch, of a tensor (...)."""
    share = (lr * eigenvalue).clamp(min=torch.finfo(eigenvalue.dtype).tiny)
    decay = steps * torch.log1p(-share)
    return share * torch.exp(decay) / -torch.expm1(decay) / lr


def early_stopped(hessian, optimum, *, lr, steps):
    """As in scratch, of tensors (D, D) and (D,), by a power of a matrix."""
    left = torch.eye(len(hessian)).to(hessian) - lr * hessian
    return optimum - torch.linalg.matrix_power(left, steps) @ optimum
