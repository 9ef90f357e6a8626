"""Move the sliders of a live figure in a real kernel.

Runs by itself, so that any environment with ipywidgets can be checked::

    python tests/common/live_kernel_check.py
"""

import time

from jupyter_client.manager import start_new_kernel

CELL = """
from dlbook_lib.common.figures import subplots
from dlbook_lib.common.live import Choice, Slider, live

def draw(slope, sign):
    if slope == 0.5:
        raise ValueError("no such line")
    fig, ax = subplots()
    ax.plot([-1, 1], [-sign * slope, sign * slope])
    ax.set(xlabel="input", ylabel="output", ylim=(-3, 3))
    return fig

live(
    draw,
    alt=lambda slope, sign: f"A line of slope {sign * slope:g}.",
    caption="The weight is the slope.",
    slope=Slider(0.0, 2.8, 0.1, value=1.0, frames=3),
    sign=Choice({"up": 1, "down": -1}),
)
"""
VIEW = "application/vnd.jupyter.widget-view+json"
LIMIT = 60  # seconds


class Frontend:
    """The little of a notebook's front end that widgets need."""

    def __init__(self, client):
        self.client = client
        self.models = {}
        self.outputs = []

    def send(self, kind, **content):
        """Send a message; handle all that comes back until the kernel is idle."""
        message = self.client.session.msg(kind, content)
        self.client.shell_channel.send(message)
        end = time.monotonic() + LIMIT
        while time.monotonic() < end:
            reply = self.client.get_iopub_msg(timeout=LIMIT)
            self.handle(reply["msg_type"], reply["content"])
            idle = reply["content"].get("execution_state") == "idle"
            if idle and reply["parent_header"].get("msg_id") == message["msg_id"]:
                return
        raise TimeoutError(f"no end of {kind} within {LIMIT} s")

    def handle(self, kind, content):
        if kind == "comm_open":
            self.models[content["comm_id"]] = dict(content["data"]["state"])
        elif kind == "comm_msg":
            state = content["data"].get("state", {})
            self.models[content["comm_id"]].update(state)
        elif kind in ("display_data", "execute_result", "stream", "error"):
            self.outputs.append((kind, content))

    def run(self, code):
        self.outputs.clear()
        self.send("execute_request", code=code, silent=False, store_history=True)
        return list(self.outputs)

    def move(self, model, **state):
        data = {"method": "update", "state": state, "buffer_paths": []}
        self.send("comm_msg", comm_id=model, data=data)


def check(frontend):
    """Display a live figure and move it; return what was seen, as a line of text."""
    outputs = frontend.run(CELL)
    assert [kind for kind, _ in outputs] == ["display_data"], outputs
    data = outputs[0][1]["data"]
    assert set(data) == {"text/plain", "text/html", VIEW}, set(data)
    words = "Controls: slope (0 to 2.8); sign (up, down)."
    assert data["text/plain"] == f"Live figure: A line of slope 1. {words}"

    box = frontend.models[data[VIEW]["model_id"]]
    children = [child.removeprefix("IPY_MODEL_") for child in box["children"]]
    slope, sign, picture = children

    def shown():
        return frontend.models[picture]["value"]

    seen = [shown()]
    assert 'aria-label="A line of slope 1."' in seen[0]
    assert "<figcaption>The weight is the slope.</figcaption>" in seen[0]
    moves = [
        (slope, {"value": 0.7}, 'aria-label="A line of slope 0.7."'),
        (sign, {"index": 1}, 'aria-label="A line of slope -0.7."'),
    ]
    for model, state, label in moves:
        frontend.move(model, **state)
        assert label in shown(), shown()[:400]
        assert shown() not in seen
        seen.append(shown())

    frontend.move(slope, value=0.5)
    assert "ValueError: no such line. This happened in" in shown()
    assert "at slope=0.5, sign=-1." in shown()
    frontend.move(slope, value=0.8)
    assert 'aria-label="A line of slope -0.8."' in shown()

    versions = frontend.run(
        "import ipywidgets, IPython; print(ipywidgets.__version__, IPython.__version__)"
    )
    return versions[-1][1]["text"].strip()


def main():
    manager, client = start_new_kernel(startup_timeout=LIMIT)
    try:
        versions = check(Frontend(client))
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    print(f"live figures move: ipywidgets and IPython {versions}")


if __name__ == "__main__":
    main()
