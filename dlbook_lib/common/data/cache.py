"""The cache of fetched data: verified when stored, verified when read.

A data set `name` lies in the folder `name` of `folder()`. It appears there whole or not
at all: it is fetched into a folder beside, verified, and then moved.
"""

import hashlib
import os
import shutil
import sys
import zlib
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import numpy as np
import platformdirs
from filelock import FileLock
from tqdm import tqdm

from dlbook_lib.common.data.carriers import DATASETS
from dlbook_lib.common.data.sources import FetchError

# no way to the source, or an answer that is cut short or something else
FAILURES = (FetchError, OSError, HTTPException, EOFError, zlib.error)


def folder():
    """The folder of the cache: `DLBOOK_DATA` if set, else one of the platform's.

    It need not exist yet.
    """
    chosen = os.environ.get("DLBOOK_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("dlbook", appauthor=False)


def is_cached(name):
    """Whether the data set `name` lies in the cache, whole and unharmed."""
    return _stored(name) is not None


def load(name):
    """The payload of the data set `name`, fetched first if it is not in the cache.

    Returns
    -------
    dict of str to ndarray of uint8 (bytes,)
        The bytes of each file, fresh and writable.

    Raises
    ------
    FetchError
        If the data are not in the cache and cannot be fetched. Nothing half done is
        left behind.
    """
    stored = _stored(name)
    if stored is None:
        _fetch(name)
        stored = _stored(name)
    return stored


def _stored(name):
    home = folder() / name
    stored = {}
    for file, expected in DATASETS[name].payload.items():
        path = home / file
        if not path.is_file() or path.stat().st_size != expected.size:
            return None
        stored[file] = np.fromfile(path, np.uint8)
        if hashlib.sha256(stored[file]).hexdigest() != expected.sha256:
            return None
    return stored


def _fetch(name):
    home = folder() / name
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home.with_name(f"{name}.lock")):
            if is_cached(name):  # another process was faster
                return
            with _scratch(home.with_name(f"{name}.part")) as scratch:
                _from_first_source(DATASETS[name], scratch)
                shutil.rmtree(home, ignore_errors=True)
                os.replace(scratch / "payload", home)
    except (FetchError, OSError) as problem:
        raise FetchError(
            f"{name}: the data could not be fetched into {home} ({problem}). "
            "Check the network, the space on the disk and that the folder can be "
            f"written; then ask again, or run `python -m tools.fetch_data {name}` in "
            "the folder of the book. The environment variable DLBOOK_DATA chooses "
            "another folder."
        ) from problem


@contextmanager
def _scratch(path):
    """An empty folder `path`, gone afterwards, even one that a crash left."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _from_first_source(dataset, scratch):
    """Leave in `scratch/payload` what the first source that works brings."""
    problems = []
    with _progress(dataset) as bar:
        for number, source in enumerate(dataset.sources):
            carrier = scratch / f"carrier{number}"
            carrier.mkdir()
            bar.reset()
            try:
                source.fetch(carrier, bar)
                _write(dataset, dataset.unpack(carrier), scratch / "payload")
                return
            except FAILURES as problem:
                problems.append(f"{source}: {problem}")
    raise FetchError("; ".join(problems))


def _write(dataset, payload, target):
    """Write the `payload` that was expected; refuse any other bytes."""
    for file, expected in dataset.payload.items():
        got = hashlib.sha256(payload.get(file, b"")).hexdigest()
        if got != expected.sha256:
            raise FetchError(
                f"wrong bytes in {file}, thrown away: expected SHA-256 "
                f"{expected.sha256}, got {got}"
            )
    target.mkdir(exist_ok=True)
    for file in dataset.payload:
        (target / file).write_bytes(payload[file])


def _progress(dataset):
    """A bar on a terminal; elsewhere, as in a notebook, one line."""
    terminal = sys.stderr.isatty()
    if not terminal:
        size = dataset.download / 1e6
        print(f"fetching {dataset.title} ({size:.1f} MB) …", file=sys.stderr)
    return tqdm(
        desc=f"fetching {dataset.title}",
        total=dataset.download,
        unit="B",
        unit_scale=True,
        leave=False,
        disable=not terminal,
    )
