"""The modules beside scratch.py and pytorch.py are twins as these are."""

import pytest

from dlbook_lib.recurrent.long_term_dependencies import (
    gradients,
    gradients_pytorch,
    layers,
    layers_pytorch,
    reservoirs,
    reservoirs_pytorch,
)
from tests.structure.test_twins import differences

PAIRS = [
    (reservoirs, reservoirs_pytorch),
    (gradients, gradients_pytorch),
    (layers, layers_pytorch),
]


@pytest.mark.parametrize(("scratch", "pytorch"), PAIRS)
def test_names_and_parameters_are_the_same(scratch, pytorch):
    assert list(differences(scratch, pytorch)) == []
