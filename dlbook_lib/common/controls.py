"""The controls of live figures: a slider over numbers, a choice of a few things."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Slider:
    """A number the reader moves.

    Parameters
    ----------
    start, stop, step : int or float
        With a kernel every value start, start + step, …, stop can be chosen. If all
        three are int, the figure gets an int.
    value : int or float, optional
        Where it stands at first; by default at `start`.
    label : str, optional
        Plain text, no mathematics; by default the parameter's name.
    unit : str
        Written behind the value, such as ``" epochs"``.
    frames : int, optional
        Stops on the static page: so many values, evenly spaced over the range, and
        `value`. By default 21 for one control, 7 each for two, 5 each for three.

    >>> Slider(0, 1, 0.25, value=0.5).values()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    >>> Slider(0, 100, 1, value=7, unit=" epochs").stops(3)
    [0, 7, 50, 100]
    """

    start: float
    stop: float
    step: float
    value: float | None = None
    label: str | None = None
    unit: str = ""
    frames: int | None = None

    def __post_init__(self):
        numbers = (self.start, self.stop, self.step)
        if not all(isinstance(x, int | float) for x in numbers):
            raise TypeError(f"Slider: start, stop, step must be numbers, not {numbers}")
        if self.step <= 0 or self.stop <= self.start:
            raise ValueError(
                f"Slider: no steps of {self.step} lead from {self.start} to "
                f"{self.stop}; step must be positive and stop above start"
            )
        if self.frames is not None and self.frames < 2:
            raise ValueError(f"Slider: frames must be 2 or more, not {self.frames}")
        value = self.start if self.value is None else self.value
        nearest = min(self.values(), key=lambda x: abs(x - value))
        if abs(nearest - value) > 1e-6 * self.step:
            raise ValueError(
                f"Slider: steps of {self.step} from {self.start} to {self.stop} do not "
                f"meet value={value}; the nearest is {nearest}"
            )
        object.__setattr__(self, "value", nearest)

    def values(self):
        """All values, in rising order."""
        n = int((self.stop - self.start) / self.step + 1e-9) + 1
        if self._whole():
            return [self.start + k * self.step for k in range(n)]
        return [round(float(self.start + k * self.step), 10) for k in range(n)]

    def stops(self, frames):
        """The values that have a frame: `frames` of them if the slider names no number.

        The first, the last and the initial value are always there.
        """
        values = self.values()
        frames = min(self.frames or frames, len(values))
        gap = (len(values) - 1) / max(frames - 1, 1)
        return sorted({values[round(k * gap)] for k in range(frames)} | {self.value})

    def text(self, value):
        """The value as the reader sees it."""
        return f"{value:g}{self.unit}"

    def span(self):
        """What can be chosen, in words."""
        values = self.values()
        return f"{self.text(values[0])} to {self.text(values[-1])}"

    def widget(self, label):
        """The control of a notebook with a kernel."""
        import ipywidgets

        unit = self.unit.strip()
        shape = {
            "value": self.value,
            "min": self.start,
            "max": self.values()[-1],
            "step": self.step,
            "description": f"{label} ({unit})" if unit else label,
            "style": {"description_width": "initial"},
            "layout": {"width": "32em", "max_width": "100%"},
        }
        if self._whole():
            return ipywidgets.IntSlider(**shape)
        exponents = [
            Decimal(str(x)).as_tuple().exponent for x in (self.start, self.step)
        ]
        digits = max(0, -min(exponents))
        return ipywidgets.FloatSlider(**shape, readout_format=f".{digits}f")

    def _whole(self):
        return all(isinstance(x, int) for x in (self.start, self.stop, self.step))


@dataclass(frozen=True)
class Choice:
    """One of a few things the reader picks.

    Parameters
    ----------
    options : sequence, or dict of str to object
        What can be picked, shown as `str` writes it, or under the names of the dict.
        The figure gets the option itself.
    value : object, optional
        Picked at first; by default the first.
    label : str, optional
        Plain text, no mathematics; by default the parameter's name.

    >>> Choice({"none": 0.0, "weak": 0.1}, value=0.1).span()
    'none, weak'
    """

    options: object
    value: object = None
    label: str | None = None

    def __post_init__(self):
        if isinstance(self.options, str) or len(self.options) < 2:
            raise ValueError(
                f"Choice: options must be two or more things to pick from, not "
                f"{self.options!r}"
            )
        options = self.stops()
        if self.value is None:
            object.__setattr__(self, "value", options[0])
        if self.value not in options:
            raise ValueError(f"Choice: value {self.value!r} is not among {options}")

    def stops(self, frames=None):
        """All options; each has frames of its own, whatever `frames` is."""
        named = isinstance(self.options, dict)
        return list(self.options.values() if named else self.options)

    def text(self, value):
        """The option as the reader sees it."""
        if not isinstance(self.options, dict):
            return str(value)
        return next(name for name, option in self.options.items() if option == value)

    def span(self):
        """What can be chosen, in words."""
        return ", ".join(self.text(option) for option in self.stops())

    def widget(self, label):
        """The control of a notebook with a kernel."""
        import ipywidgets

        return ipywidgets.Dropdown(
            options=[(self.text(option), option) for option in self.stops()],
            value=self.value,
            description=label,
            style={"description_width": "initial"},
            layout={"width": "32em", "max_width": "100%"},
        )
