"""Carriers come from pip, the web or apt, and nothing in them is run."""

import functools
import hashlib
import http.server
import io
import sys
import tarfile
import threading
import time
import zipfile

import pytest
from tqdm import tqdm

from dlbook_lib.common.data import sources
from dlbook_lib.common.data.sources import Debian, FetchError, Package, Web

METADATA = "Metadata-Version: 1.0\nName: toycarrier\nVersion: 1.0\n"
PIN = "toycarrier==1.0"


@pytest.fixture
def bar():
    with tqdm(total=10**9, disable=True) as bar:
        yield bar


@pytest.fixture
def index(monkeypatch, tmp_path):
    """A folder that pip asks in place of the package index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def target(tmp_path):
    folder = tmp_path / "target"
    folder.mkdir()
    return folder


def wheel(folder, tag="py3-none-any"):
    path = folder / f"toycarrier-1.0-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toycarrier/data.txt", "data")
        archive.writestr("toycarrier-1.0.dist-info/METADATA", METADATA)
        archive.writestr(
            "toycarrier-1.0.dist-info/WHEEL",
            f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        )
        archive.writestr("toycarrier-1.0.dist-info/RECORD", "")
    return path


def source_archive(folder, setup):
    path = folder / "toycarrier-1.0.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name, text in {"PKG-INFO": METADATA, "setup.py": setup}.items():
            member = tarfile.TarInfo(f"toycarrier-1.0/{name}")
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("tag", "platform"),
    [
        ("py3-none-any", None),
        ("cp311-cp311-manylinux_2_28_x86_64", "manylinux_2_28_x86_64"),
    ],
)
def test_pip_fetches_the_wheel_with_that_hash(index, target, bar, tag, platform):
    path = wheel(index, tag)
    Package(PIN, sha256(path), platform).fetch(target, bar)
    assert (target / path.name).read_bytes() == path.read_bytes()


def test_the_setup_of_a_source_archive_is_not_run(index, target, bar, tmp_path):
    ran = tmp_path / "ran"
    path = source_archive(index, f"open({str(ran)!r}, 'w')\nraise SystemExit(1)\n")
    Package(PIN, sha256(path)).fetch(target, bar)
    assert (target / path.name).read_bytes() == path.read_bytes()
    assert not ran.exists()


def test_pip_refuses_another_hash(index, target, bar):
    path = wheel(index)
    with pytest.raises(FetchError) as caught:
        Package(PIN, "0" * 64).fetch(target, bar)
    assert "0" * 64 in str(caught.value)
    assert sha256(path) in str(caught.value)
    assert not list(target.glob("*.whl"))


def test_an_index_without_the_package(index, target, bar):
    with pytest.raises(FetchError, match="No matching distribution found for toy"):
        Package(PIN, "0" * 64).fetch(target, bar)


def test_a_python_without_pip(target, bar, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FetchError, match="run python -m ensurepip first"):
        Package(PIN, "0" * 64).fetch(target, bar)


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, but promises more bytes of "cut" than it sends."""

    def do_GET(self):
        if self.path != "/cut":
            return super().do_GET()
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"half")

    def log_message(self, *args):
        pass


@pytest.fixture
def address(tmp_path):
    """The address of a server of the folder `tmp_path` on this machine."""
    handler = functools.partial(Handler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_web(address, tmp_path, target, bar):
    (tmp_path / "one").write_bytes(b"1" * 200_000)
    (tmp_path / "two").write_bytes(b"2")
    Web(address, ("one", "two")).fetch(target, bar)
    assert (target / "one").read_bytes() == b"1" * 200_000
    assert (target / "two").read_bytes() == b"2"


@pytest.mark.parametrize(
    ("file", "sentence"), [("missing", "404"), ("cut", "cut ended 996 bytes early")]
)
def test_a_web_that_fails(address, target, bar, file, sentence):
    with pytest.raises((OSError, FetchError), match=sentence):
        Web(address, (file,)).fetch(target, bar)


def test_a_system_without_apt(target, bar, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(FetchError, match="no apt-get"):
        Debian("toy").fetch(target, bar)


def test_the_bar_follows_the_bytes_that_arrive(target):
    script = "import time; open('a', 'wb').write(bytes(1000)); time.sleep(0.6)"
    with tqdm(total=800, file=io.StringIO()) as bar:
        sources._run([sys.executable, "-c", script], target, bar)
        assert bar.n == 800


@pytest.mark.parametrize(
    ("printed", "sentence"),
    [
        ("WARNING: a\nERROR: b\n", "ERROR: b"),
        ("ERROR: Exception:\nTraceback\nOSError: full\n", "Exception: OSError: full"),
        ("no idea\n", "no idea"),
        ("", "it ended without a word"),
    ],
)
def test_a_failed_command_gives_its_reason(target, bar, printed, sentence):
    script = f"import sys; sys.stderr.write({printed!r}); sys.exit(1)"
    with pytest.raises(FetchError, match=f"{sentence}$"):
        sources._run([sys.executable, "-c", script], target, bar)


def test_an_interrupt_ends_the_command(target):
    class Interrupted:
        total, n = 1, 0

        def update(self, count):
            raise KeyboardInterrupt

    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        sources._run(
            [sys.executable, "-c", "import time; time.sleep(60)"], target, Interrupted()
        )
    assert time.perf_counter() - started < 30
