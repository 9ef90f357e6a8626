"""Wrong answers that each checker has to refuse; `tests/structure` tries them."""

import numpy as np

WRONG = {
    "check_cube": [
        lambda x: x * x,
        lambda x: 3 * x,
        lambda x: np.abs(x) ** 3,
    ],
}
