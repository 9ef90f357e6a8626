"""Where PyTorch computes: a GPU if it sees one, else the CPU.

PyTorch is imported when a function is called, so importing this module costs nothing.
"""


def best_device():
    """The fastest `torch.device` at hand: CUDA (or ROCm), Apple's MPS, else the CPU.

    MPS has no float64: a page that compares twins to 1e-10 does so on the CPU.
    """
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def device_name(device=None):
    """What a reader calls `device` (`best_device()` if None): "CPU", "NVIDIA H200".

    Parameters
    ----------
    device : torch.device or str, optional

    Raises
    ------
    RuntimeError
        By PyTorch, if `device` is no name of a device.
    """
    import torch

    device = best_device() if device is None else torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return {"cpu": "CPU", "mps": "Apple GPU"}.get(device.type, str(device))
