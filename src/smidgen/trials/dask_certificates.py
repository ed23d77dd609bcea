"""The certificates of a coordinator: checked before Dask connects, because Dask only says that nobody answers.

They stand where Dask looks for them, so that one setting serves the scheduler, the workers and the coordinator:
Dask's configuration `distributed.comm.tls`, or its environment variables.
"""

from __future__ import annotations

import socket
import ssl
import time
from pathlib import Path
from urllib.parse import urlsplit

from smidgen.errors import EngineError

SETTINGS = {
    "ca-file": "DASK_DISTRIBUTED__COMM__TLS__CA_FILE",
    "client.cert": "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT",
    "client.key": "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY",
}
"""Keys below `distributed.comm.tls` of Dask's configuration, and the variable of each."""

CONTENTS = {
    "ca-file": "the certificate that signs all of the cluster's",
    "client.cert": "this process's certificate",
    "client.key": "the private key of this process's certificate",
}

RETRY_SECONDS = 0.2
"""Pause between two attempts to reach a port."""


def check_certificates(address: str, seconds: float) -> None:
    """Read this process's certificates and try them on a scheduler at `tls://` or `wss://`.

    Args:
        address: the scheduler's address.
        seconds: how long to wait for its port; one that does not answer is left to the caller.

    Raises:
        EngineError: a file is not set or cannot be read, the scheduler's certificate is not signed by the CA, the
            scheduler refuses this process's certificate, or it does not use TLS.
    """
    files = {setting: _file(address, setting) for setting in SETTINGS}
    context = _context(files)
    place = urlsplit(address)
    connection = _connection(place.hostname or "", place.port or 0, seconds)
    if connection is None:
        return
    with connection:
        _shake_hands(connection, context, address, files)


def _file(address: str, setting: str) -> str:
    import dask

    file = dask.config.get(f"distributed.comm.tls.{setting}", None)
    what = f"{SETTINGS[setting]} ({CONTENTS[setting]})"
    if not file:
        raise EngineError(f"--cluster {address} needs certificates; set {what} to the path of a PEM file")
    if "\n" in str(file):  # the PEM text itself, as Dask allows
        return str(file)
    try:
        Path(file).read_bytes()
    except OSError as error:
        raise EngineError(f"cannot read {file}: {error.strerror}; correct {what}") from error
    return str(file)


def _context(files: dict[str, str]) -> ssl.SSLContext:
    """Let Dask read the files."""
    from distributed.security import Security

    try:
        context: ssl.SSLContext = Security().get_connection_args("client")["ssl_context"]
    except (ssl.SSLError, ValueError, OSError) as error:
        names = ", ".join(f"{shown(files[setting])} ({SETTINGS[setting]})" for setting in SETTINGS)
        fact = getattr(error, "reason", None) or error
        raise EngineError(
            f"cannot use the certificates {names}: {fact}; give PEM files, and the key that belongs to the certificate"
        ) from error
    return context


def shown(file: str) -> str:
    """Return the path of a setting, and not its content where that is a certificate itself."""
    return "(PEM text)" if "\n" in file else file


def _connection(host: str, port: int, seconds: float) -> socket.socket | None:
    """Connect to the port as soon as it answers; None if it does not in so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection((host, port), timeout=max(1.0, seconds))
        except OSError:
            if time.monotonic() > deadline:
                return None
        time.sleep(RETRY_SECONDS)


def _shake_hands(connection: socket.socket, context: ssl.SSLContext, address: str, files: dict[str, str]) -> None:
    """Wait for the scheduler's first byte: with TLS 1.3 a refusal comes after the handshake."""
    ca, certificate = (f"{shown(files[name])} ({SETTINGS[name]})" for name in ("ca-file", "client.cert"))
    accepted = False
    try:
        with context.wrap_socket(connection) as secured:
            accepted = True
            if address.startswith("tls"):
                secured.recv(1)
    except ssl.SSLCertVerificationError as error:
        raise EngineError(
            f"{address} has a certificate that {ca} does not vouch for ({error.verify_message}); "
            "give the certificate that signed it"
        ) from error
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        if accepted or "ALERT" in str(reason):
            raise EngineError(
                f"{address} refuses the certificate {certificate}: {reason}; give one that the cluster's CA has signed"
            ) from error
        raise EngineError(
            f"{address} does not answer with TLS ({reason}); start the scheduler with certificates"
        ) from error
