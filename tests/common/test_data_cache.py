"""A data set is in the cache whole and verified, or not at all."""

import errno
import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlbook_lib.common.data import FetchError, cache, carriers

CONTENT = b"the bytes that matter"
PAYLOAD = {"toy.bin": carriers.Payload(21, hashlib.sha256(CONTENT).hexdigest())}

TWO_PROCESSES = """
import sys, time
from pathlib import Path
from dlbook_lib.common.data import cache, carriers

class Slow:
    def fetch(self, folder, bar):
        with open(sys.argv[1], "a") as log:
            log.write("fetch\\n")
        time.sleep(0.5)
        (folder / "toy.bin").write_bytes(b"the bytes that matter")

def unpack(folder):
    return {"toy.bin": (folder / "toy.bin").read_bytes()}

payload = {"toy.bin": carriers.Payload(21, sys.argv[2])}
carriers.DATASETS["toy"] = carriers.Dataset("toy", (Slow(),), 21, unpack, payload, "")
print(cache.load("toy")["toy.bin"].tobytes().decode())
"""


class Source:
    """A source that leaves `content`, or raises it if it is an exception."""

    def __init__(self, content=CONTENT):
        self.content, self.calls = content, 0

    def __str__(self):
        return "a source"

    def fetch(self, folder, bar):
        self.calls += 1
        (folder / "toy.bin").write_bytes(b"half")
        if isinstance(self.content, BaseException):
            raise self.content
        (folder / "toy.bin").write_bytes(self.content)
        bar.update(len(self.content))


@pytest.fixture
def toy(monkeypatch, tmp_path):
    """A function that makes `sources` those of the data set "toy"; an empty cache."""
    monkeypatch.setenv("DLBOOK_DATA", str(tmp_path / "cache"))

    def unpack(folder):
        return {"toy.bin": (folder / "toy.bin").read_bytes()}

    def make(*sources):
        made = carriers.Dataset("Toy", sources, 21_000_000, unpack, PAYLOAD, "none")
        monkeypatch.setitem(carriers.DATASETS, "toy", made)
        return sources[0]

    return make


def left():
    """What lies in the cache, but for locks."""
    files = cache.folder().rglob("*")
    return sorted(file.name for file in files if file.suffix != ".lock")


def failure():
    with pytest.raises(FetchError) as caught:
        cache.load("toy")
    return str(caught.value)


def test_fetched_once_then_read_without_a_network(toy, monkeypatch, capsys):
    source = toy(Source())
    assert not cache.is_cached("toy")
    assert cache.load("toy")["toy.bin"].tobytes() == CONTENT
    assert left() == ["toy", "toy.bin"]
    assert capsys.readouterr() == ("", "fetching Toy (21.0 MB) …\n")

    def refuse(*args, **kwargs):
        raise AssertionError("a warm cache must not ask for a network or a process")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    assert cache.is_cached("toy")
    assert cache.load("toy")["toy.bin"].tobytes() == CONTENT
    assert source.calls == 1
    assert capsys.readouterr() == ("", "")


def test_each_load_is_fresh_and_writable(toy):
    toy(Source())
    cache.load("toy")["toy.bin"][:] = 0
    loaded = cache.load("toy")["toy.bin"]
    assert loaded.dtype == np.uint8
    assert loaded.tobytes() == CONTENT


def test_a_bar_on_a_terminal(toy, monkeypatch, capsys):
    toy(Source())
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    cache.load("toy")
    out, err = capsys.readouterr()
    assert out == ""
    assert "fetching Toy:" in err
    assert "21.0M" in err


@pytest.mark.parametrize("harm", [b"the bytes that mutter", b"the bytes", b""])
def test_a_damaged_file_is_fetched_again(toy, harm):
    source = toy(Source())
    cache.load("toy")
    (cache.folder() / "toy" / "toy.bin").write_bytes(harm)
    assert cache.load("toy")["toy.bin"].tobytes() == CONTENT
    assert source.calls == 2


def test_wrong_bytes_are_refused_with_both_hashes(toy):
    wrong = b"the bytes that mutter"
    toy(Source(wrong))
    sentence = failure()
    assert f"expected SHA-256 {PAYLOAD['toy.bin'].sha256}" in sentence
    assert f"got {hashlib.sha256(wrong).hexdigest()}" in sentence
    assert left() == []


@pytest.mark.parametrize(
    "problem",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        FetchError("ERROR: No matching distribution found"),
        ConnectionResetError("cut off"),
        EOFError("the file ended early"),
    ],
)
def test_a_failure_says_what_to_do_and_leaves_nothing(toy, problem):
    toy(Source(problem))
    sentence = failure()
    assert sentence.startswith("toy: the data could not be fetched")
    for told in (
        str(problem),
        str(cache.folder() / "toy"),
        "python -m tools.fetch_data toy",
        "DLBOOK_DATA",
    ):
        assert told in sentence
    assert left() == []


def test_an_interrupted_fetch_leaves_nothing_and_can_be_repeated(toy):
    toy(Source(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        cache.load("toy")
    assert left() == []
    toy(Source())
    assert cache.load("toy")["toy.bin"].tobytes() == CONTENT


def test_what_a_crash_left_is_cleared(toy):
    toy(Source())
    part = cache.folder() / "toy.part" / "payload"
    part.mkdir(parents=True)
    (part / "toy.bin").write_bytes(b"half")
    assert cache.load("toy")["toy.bin"].tobytes() == CONTENT
    assert left() == ["toy", "toy.bin"]


def test_the_next_source_is_asked_when_one_fails(toy):
    toy(Source(FetchError("down")), Source(b"other bytes"), Source())
    assert cache.load("toy")["toy.bin"].tobytes() == CONTENT


def test_all_failures_are_told(toy):
    toy(Source(FetchError("down")), Source(OSError("no such host")))
    assert "a source: down; a source: no such host" in failure()


def test_a_folder_that_cannot_be_written(toy, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DLBOOK_DATA", str(tmp_path / "file" / "cache"))
    source = toy(Source())
    assert "DLBOOK_DATA chooses another folder" in failure()
    assert source.calls == 0


def test_the_folder_is_that_of_the_platform_unless_chosen(monkeypatch):
    monkeypatch.setenv("DLBOOK_DATA", "~/elsewhere")
    assert cache.folder() == Path.home() / "elsewhere"
    monkeypatch.setenv("DLBOOK_DATA", "")
    assert cache.folder().is_absolute()
    assert "dlbook" in cache.folder().parts


def test_two_processes_at_once_fetch_once(tmp_path):
    log = tmp_path / "log"
    command = [sys.executable, "-c", TWO_PROCESSES, str(log), PAYLOAD["toy.bin"].sha256]
    env = os.environ | {"DLBOOK_DATA": str(tmp_path / "cache")}
    both = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [each.communicate()[0].strip() for each in both] == [CONTENT.decode()] * 2
    assert log.read_text() == "fetch\n"
