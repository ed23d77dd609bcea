"""Clusters with certificates: they work, nobody else gets in, and what is wrong with a certificate is one line."""

from __future__ import annotations

import datetime
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services import Cluster, dask_cluster, free_port
from smidgen.errors import EngineError
from smidgen.trials.dask_certificates import SETTINGS, check_certificates
from smidgen.trials.dask_pool import connect
from smidgen.trials.workers import map_unordered

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

ROLES = ("CLIENT", "SCHEDULER", "WORKER")
PATHS = ("/status", "/info/main/workers.html", "/json/counts.json", "/metrics")
"""What Dask's web servers show."""


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that signs itself, as the page about clusters does; return its file and its key's."""
    pytest.importorskip("cryptography")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(tz=datetime.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    signed = (
        builder.not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    words = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / f"{name}.pem").write_bytes(signed.public_bytes(pem))
    (folder / f"{name}.key").write_bytes(words)
    return folder / f"{name}.pem", folder / f"{name}.key"


def variables(ca: Path, certificate: Path, key: Path) -> dict[str, str]:
    """Dask's environment variables, for every role."""
    start = "DASK_DISTRIBUTED__COMM__TLS__"
    files = {
        f"{start}{role}__{kind}": str(file) for role in ROLES for kind, file in (("CERT", certificate), ("KEY", key))
    }
    return {f"{start}CA_FILE": str(ca), **files}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ours", "theirs"):
        certificate(folder, name)
    return folder


@pytest.fixture(scope="module")
def secured(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A scheduler and a worker with certificates."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables(files / "ours.pem", files / "ours.pem", files / "ours.key").items():
            patch.setenv(name, value)
        with dask_cluster(tmp_path_factory.mktemp("secured"), workers=1, scheme="tls") as cluster:
            yield cluster


def configured(monkeypatch: pytest.MonkeyPatch, files: Path, **changed: object) -> None:
    """Set this process's certificates in Dask's configuration: ours, but for what is changed."""
    import dask

    chosen = {"ca": files / "ours.pem", "cert": files / "ours.pem", "key": files / "ours.key", **changed}
    tls = dask.config.get("distributed.comm.tls")
    monkeypatch.setitem(tls, "ca-file", chosen["ca"] and str(chosen["ca"]))
    client = {name: chosen[name] and str(chosen[name]) for name in ("cert", "key")}
    monkeypatch.setitem(tls, "client", client)


def test_a_cluster_with_certificates_works(secured: Cluster, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configured(monkeypatch, files)
    with connect(secured.address) as pool:
        assert sorted(map_unordered(abs, [-1, -2], pool.capacity, pool.executor)) == [(0, 1), (1, 2)]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"ca": None}, r"needs certificates; set DASK_DISTRIBUTED__COMM__TLS__CA_FILE .* to the path of a PEM file"),
        ({"cert": None}, r"needs certificates; set DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT"),
        ({"key": None}, r"needs certificates; set DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"),
        (
            {"ca": "missing.pem"},
            r"cannot read missing.pem: No such file .*; correct DASK_\w+CA_FILE",
        ),
        ({"cert": "."}, r"cannot read \.: Is a directory; correct DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT"),
        ({"cert": __file__}, r"cannot use the certificates .*; give PEM files"),
        ({"key": "theirs.key"}, r"cannot use the certificates .*KEY_VALUES_MISMATCH; .* the key that belongs to"),
        ({"ca": "theirs.pem"}, r"theirs.pem \(DASK_\w+CA_FILE\) does not vouch for \(self-signed certificate\); give"),
        (
            {"cert": "theirs.pem", "key": "theirs.key"},
            r"refuses the certificate .*theirs.pem \(DASK_\w+CLIENT__CERT\): \w*UNKNOWN_CA; give one that",
        ),
    ],
)
def test_what_is_wrong_with_a_certificate_is_said_at_once(
    secured: Cluster, files: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], message: str
) -> None:
    theirs = {name: files / file if file and file.startswith("theirs") else file for name, file in changed.items()}
    configured(monkeypatch, files, **theirs)
    with pytest.raises(EngineError, match=message) as raised, connect(secured.address):
        pass
    assert "\n" not in str(raised.value)


def test_a_scheduler_without_certificates_is_said(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    configured(monkeypatch, files)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"tls://127.0.0.1:{listening.getsockname()[1]}"
        clear = threading.Thread(target=lambda: listening.accept()[0].sendall(b"\0" * 64))
        clear.start()
        with pytest.raises(EngineError, match=r"does not answer with TLS .*; start the scheduler with certificates"):
            check_certificates(address, 5)
        clear.join()


def test_a_port_that_does_not_answer_is_left_to_the_caller(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    configured(monkeypatch, files)
    check_certificates(f"tls://127.0.0.1:{free_port()}", 0.3)


def test_the_variables_that_messages_name_are_dasks_own(files: Path) -> None:
    pytest.importorskip("distributed")
    keys = "['distributed.comm.tls.' + key for key in sys.argv[1:]]"
    code = f"import dask.config, distributed, sys; print([dask.config.get(key) for key in {keys}])"
    line = [sys.executable, "-c", code, *SETTINGS]
    environment = {**os.environ, **{name: f"file {n}" for n, name in enumerate(SETTINGS.values())}}
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == str([f"file {n}" for n in range(len(SETTINGS))])


# --- processes of this machine -----------------------------------------------------------------


def test_processes_of_this_machine_let_nobody_else_in() -> None:
    """Not a single port answers without the certificate that only they have; the web servers show nothing."""
    pytest.importorskip("cryptography")
    with connect("local:1") as pool:
        assert sorted(map_unordered(abs, [-1, -2], pool.capacity, pool.executor)) == [(0, 1), (1, 2)]
        found = pool.executor.client.scheduler_info()  # type: ignore[attr-defined]
        addresses = [found["address"], *found["workers"], *(each["nanny"] for each in found["workers"].values())]
        assert len(addresses) == 3
        for address in addresses:
            scheme, host, port = re.fullmatch(r"(\w+)://(.*):(\d+)", address).groups()  # type: ignore[union-attr]
            assert (scheme, host) == ("tls", "127.0.0.1")
            assert not answers(int(port))
        web = [found["services"]["dashboard"], *(each["services"]["dashboard"] for each in found["workers"].values())]
        for port in web:
            assert [path for path in PATHS if b" 404 " not in http(port, path)] == []


def answers(port: int) -> bool:
    """Whether a port sends a byte to somebody without a certificate, in TLS or in the clear."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as plain, context.wrap_socket(plain) as secured:
            if secured.recv(1):
                return True
    except OSError:
        pass
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as plain:
            return bool(plain.recv(1))
    except OSError:
        return False


def http(port: int, path: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        plain.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        return plain.recv(200)
