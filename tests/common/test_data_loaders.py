"""Each loader returns what its docstring says; real carriers are fetched if need be."""

import random
import sys
import time

import numpy as np
import pytest

from dlbook_lib.common import data
from dlbook_lib.common.data import carriers, loaders

WRONG_BYTES = ("wrong bytes", "DO NOT MATCH THE HASHES")


@pytest.fixture
def real():
    """A function that calls a loader; it skips where its data cannot be had."""

    def call(name):
        try:
            return getattr(data, name)()
        except data.FetchError as problem:
            if any(sign in str(problem) for sign in WRONG_BYTES):
                raise
            pytest.skip(f"not in the cache, and out of reach: {problem}")

    return call


def describe(array):
    return array.dtype.name, array.shape


@pytest.mark.network
@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_images(real, name):
    (x_train, y_train), (x_test, y_test) = real(name)
    assert describe(x_train) == ("uint8", (60000, 28, 28))
    assert describe(y_train) == ("uint8", (60000,))
    assert describe(x_test) == ("uint8", (10000, 28, 28))
    assert describe(y_test) == ("uint8", (10000,))
    assert np.bincount(y_test).min() > 890
    assert (x_train.min(), x_train.max()) == (0, 255)
    x_train[0] = 7  # fresh arrays are the reader's own
    assert not (data.mnist if name == "mnist" else data.fashion_mnist)()[0][0][0, 0, 0]


@pytest.mark.network
def test_mnist_starts_as_everywhere(real):
    (x_train, y_train), (_, y_test) = real("mnist")
    assert y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert y_test[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    np.testing.assert_allclose(x_train.mean() / 255, 0.1307, atol=5e-5)
    np.testing.assert_allclose(x_train.std() / 255, 0.3081, atol=5e-5)


@pytest.mark.network
def test_mnist_is_quick_from_the_cache(real):
    real("mnist")
    seconds = []
    for _ in range(3):
        started = time.process_time()
        data.mnist()
        seconds.append(time.process_time() - started)
    assert min(seconds) < 0.3


@pytest.mark.network
def test_shakespeare(real):
    text = real("shakespeare")
    assert (len(text), len(set(text))) == (5_057_280, 84)
    assert text.isascii()
    assert "\r" not in text
    assert text.startswith("ALL'S WELL THAT ENDS WELL\n")
    assert "To be, or not to be" in text


@pytest.mark.network
def test_names(real):
    names = real("names")
    assert {kind: len(found) for kind, found in names.items()} == {
        "female": 4275,
        "male": 1219,
        "last": 88799,
    }
    assert [found[0] for found in names.values()] == ["mary", "james", "smith"]
    assert all(
        name.isalpha() and name.islower() for found in names.values() for name in found
    )


@pytest.mark.network
def test_cmudict(real):
    entries = real("cmudict")
    assert len(entries) == 135_166
    assert len({word for word, _ in entries}) == 126_052
    assert [p for word, p in entries if word == "hello"] == [
        ["HH", "AH0", "L", "OW1"],
        ["HH", "EH0", "L", "OW1"],
    ]
    sounds = {phoneme.rstrip("012") for _, phonemes in entries for phoneme in phonemes}
    assert len(sounds) == 39


@pytest.mark.network
def test_sunspots(real):
    year, number = real("sunspots")
    assert describe(year) == ("int64", (309,))
    assert describe(number) == ("float64", (309,))
    assert (year[0], year[-1]) == (1700, 2008)
    assert (year[number.argmax()], number.max()) == (1957, 190.2)


@pytest.mark.network
def test_co2(real):
    day, ppm = real("co2")
    assert describe(ppm) == ("float64", (2284,))
    assert (str(day[0]), str(day[-1])) == ("1958-03-29", "2001-12-29")
    assert set(np.diff(day).astype(int)) == {7}
    assert np.isnan(ppm).sum() == 59
    assert (ppm[0], np.nanmin(ppm) > 300, np.nanmax(ppm) < 400) == (316.1, True, True)


def test_digits():
    x, y = data.digits()
    assert describe(x) == ("float64", (1797, 8, 8))
    assert describe(y) == ("int64", (1797,))
    assert set(np.unique(x)) == set(range(17))


def test_breast_cancer_counts_malignant_as_1():
    from sklearn.datasets import load_breast_cancer

    x, y, feature_names = data.breast_cancer()
    assert describe(x) == ("float64", (569, 30))
    assert describe(y) == ("int64", (569,))
    assert len(feature_names) == 30
    assert all(type(name) is str for name in feature_names)
    bunch = load_breast_cancer()
    assert (bunch.target_names[bunch.target] == "malignant").tolist() == y.tolist()
    assert y.sum() == 212


def test_mnist1d_leaves_the_global_random_states_alone():
    np.random.seed(5)  # noqa: NPY002
    random.seed(5)
    states = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    first, again = data.mnist1d(), data.mnist1d()
    assert states == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002
    (x_train, y_train), (x_test, y_test) = first
    assert describe(x_train) == ("float64", (4000, 40))
    assert describe(y_train) == ("int64", (4000,))
    assert describe(x_test) == ("float64", (1000, 40))
    assert describe(y_test) == ("int64", (1000,))
    np.testing.assert_array_equal(x_train, again[0][0])
    both = np.concatenate([x_train, x_test])
    np.testing.assert_allclose([both.mean(), both.std()], [0, 1], atol=1e-12)


def test_mnist1d_names_the_package_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    with pytest.raises(ModuleNotFoundError, match="pip install mnist1d"):
        data.mnist1d()


def test_every_fetched_set_has_a_loader_of_its_name():
    assert set(carriers.DATASETS) <= set(data.__all__)


def test_a_text_ends_its_lines_with_one_newline(monkeypatch):
    stored = {"shakespeare.txt": np.frombuffer(b"one\r\ntwo\r\n", np.uint8)}
    monkeypatch.setattr(loaders, "load", lambda name: stored)
    assert data.shakespeare() == "one\ntwo\n"
