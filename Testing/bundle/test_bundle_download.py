"""Bundles from a URL, against a web server on this machine."""

import threading
from contextlib import suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from bundle_archives import imported, with_extra, zipped

from axon_backend.bundle import load_bundle
from axon_backend.bundle.library import import_bundle
from axon_backend.errors import AxonInputError, Cancelled
from axon_backend.util.hashing import file_sha256


class Handler(SimpleHTTPRequestHandler):
    """Serves a folder; ``cut-`` names break off half-way, ``moved-`` names lead elsewhere, and
    ``silent-`` names come without a length."""

    def do_GET(self):
        name = self.path.lstrip("/")
        kind, _, rest = name.partition("-")
        if kind == "moved":
            self.send_response(302)
            self.send_header("Location", f"/{rest}")
            self.end_headers()
        elif kind == "endless":
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):  # until nobody listens any more
                while True:
                    self.wfile.write(bytes(1 << 16))
        elif kind in ("cut", "silent"):
            content = (Path(self.directory) / rest).read_bytes()
            self.send_response(200)
            if kind == "cut":
                self.send_header("Content-Length", str(len(content)))
                content = content[: len(content) // 2]
            self.end_headers()
            self.wfile.write(content)
        else:
            super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path):
    """(folder, address) of a running server."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def offer(site, bundle):
    """The bundle on the server: (folder, address, SHA-256)."""
    folder, address = site
    return folder, address, file_sha256(zipped(bundle, folder / "b.zip", "axon-test/"))


@pytest.mark.parametrize("prefix", ["", "moved-", "silent-"])
def test_a_download_is_the_same_bundle(offer, bundle, library, prefix):
    folder, address, digest = offer
    told = []
    info = import_bundle(
        f"{address}/{prefix}b.zip", sha256=digest, progress=lambda *what: told.append(what)
    )
    assert load_bundle(info.path).sha256 == bundle.sha256
    size = (folder / "b.zip").stat().st_size
    total = 0 if prefix == "silent-" else size
    assert told[0] == (0, total) and told[-1] == (size, total)
    assert imported(library) == ["axon-test-0.1.0"]


def test_a_wrong_checksum_is_refused(offer, library):
    _, address, digest = offer
    with pytest.raises(AxonInputError, match=f"SHA-256 {digest}; 1+ was expected"):
        import_bundle(f"{address}/b.zip", sha256="1" * 64)
    assert imported(library) == []


def test_a_download_without_a_checksum_is_not_begun(offer, library):
    _, address, _ = offer
    with pytest.raises(AxonInputError, match="needs its SHA-256"):
        import_bundle(f"{address}/b.zip")
    assert imported(library) == []


def test_a_download_that_breaks_off_is_refused(offer, library):
    _, address, digest = offer
    with pytest.raises(AxonInputError, match="broke off after .* bytes"):
        import_bundle(f"{address}/cut-b.zip", sha256=digest)
    assert imported(library) == []


def test_a_missing_file_is_said_to_be_missing(offer, library):
    _, address, digest = offer
    with pytest.raises(AxonInputError, match="404"):
        import_bundle(f"{address}/other.zip", sha256=digest)
    assert imported(library) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/b.zip", "http://", "http://[/b.zip"])
def test_an_address_without_a_server(library, url):
    with pytest.raises(AxonInputError, match="could not be downloaded"):
        import_bundle(url, sha256="1" * 64)
    assert imported(library) == []


def test_a_cancelled_download_leaves_nothing(site, library):
    folder, address = site
    (folder / "big.zip").write_bytes(bytes(3 << 20))
    seen = []

    def cancelled():
        # The first half megabyte has arrived and lies on the disk.
        return bool(seen) and seen[-1] > 1 << 19

    with pytest.raises(Cancelled):
        import_bundle(
            f"{address}/big.zip",
            sha256="1" * 64,
            progress=lambda done, total: seen.append(done),
            cancelled=cancelled,
        )
    assert seen[-1] < 3 << 20 and imported(library) == []


def test_a_download_that_leads_outside_is_refused(offer, library, tmp_path):
    folder, address, _ = offer
    digest = file_sha256(with_extra(folder / "b.zip", "../../../outside.txt"))
    with pytest.raises(AxonInputError, match="leads outside"):
        import_bundle(f"{address}/b.zip", sha256=digest)
    assert imported(library) == [] and not list(tmp_path.rglob("outside.txt"))


def test_a_download_that_is_no_bundle_is_refused(site, library):
    folder, address = site
    (folder / "page.html").write_text("<html>log in first</html>")
    with pytest.raises(AxonInputError, match="not a valid zip file"):
        import_bundle(f"{address}/page.html", sha256=file_sha256(folder / "page.html"))
    assert imported(library) == []


def test_a_download_of_what_is_installed_is_refused(offer, library):
    _, address, digest = offer
    import_bundle(f"{address}/b.zip", sha256=digest)
    with pytest.raises(AxonInputError, match="installed already"):
        import_bundle(f"{address}/b.zip", sha256=digest)
    assert imported(library) == ["axon-test-0.1.0"]


@pytest.mark.parametrize(
    ("name", "variable", "value", "words"),
    [
        ("endless-x.zip", "AXON_MAX_DOWNLOAD_MB", "3", "more than 3 MB"),
        ("x.zip", "AXON_MAX_DOWNLOAD_MB", "0.001", "more than 0.001 MB"),
        ("endless-x.zip", "AXON_MAX_DOWNLOAD_MINUTES", "1e-9", "minutes only"),
        ("x.zip", "AXON_MAX_DOWNLOAD_MB", "much", "set it to a positive number"),
    ],
)
def test_downloads_have_limits(site, library, monkeypatch, name, variable, value, words):
    folder, address = site
    (folder / "x.zip").write_bytes(bytes(5000))
    monkeypatch.setenv(variable, value)
    with pytest.raises(AxonInputError, match=words):
        import_bundle(f"{address}/{name}", sha256="0" * 64)
    assert list(library.iterdir()) == []
