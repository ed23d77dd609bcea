"""PostgreSQL servers, Dask clusters and network hosts that tests start and stop, on ports of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PASSWORD = "s3cret/of:ours"
USER = "smidgen"
START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server for tests, which they may stop and start again."""

    programs: Path
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return self.database("postgres")

    def database(self, name: str) -> str:
        """Return the URL of one of its databases, with the password."""
        from urllib.parse import quote

        return f"postgresql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"

    def create(self, name: str) -> str:
        """Make a database and return its URL."""
        self.sql("postgres", f"CREATE DATABASE {name}")
        return self.database(name)

    def sql(self, name: str, text: str) -> str:
        """Run statements with psql and return what it prints."""
        command = [self.programs / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.database(name)]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        # Without fsync: a test stops the server, never the machine.
        options = f"-p {self.port} -k {self.folder} -h 127.0.0.1 -F -c max_connections=50"
        self._run("pg_ctl", "start", "-w", "-D", self.folder / "data", "-l", self.folder / "log", "-o", options)

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server; mode "immediate" ends it as a crash would."""
        self._run("pg_ctl", "stop", "-w", "-D", self.folder / "data", "-m", mode)

    def make(self) -> None:
        words = self.folder / "password"
        words.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
            shutil.chown(words, "postgres")
        method = ("-A", "scram-sha-256", "-U", USER, f"--pwfile={words}")
        self._run("initdb", "-D", self.folder / "data", *method, "--no-sync", "-E", "UTF8", "--locale=C")

    def _run(self, program: str, *arguments: str | Path) -> None:
        """PostgreSQL refuses to run as root."""
        user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*user, self.programs / program, *arguments]
        # A file and no pipe, which the server would keep open.
        with (self.folder.parent / f"{self.folder.name}.out").open("w") as out:
            done = subprocess.run(command, stdout=out, stderr=out, timeout=60, check=False, cwd="/")
        text = Path(out.name).read_text()
        Path(out.name).unlink()
        assert done.returncode == 0, f"{command}: {text}"


@contextmanager
def postgresql() -> Iterator[Server]:
    """Run a server while the block runs; skip the test if PostgreSQL is not installed."""
    pytest.importorskip("psycopg", reason="needs psycopg (pip install 'smidgen[postgresql]')")
    places = [Path(found).resolve().parent for found in [shutil.which("initdb")] if found]
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    if not places or not (places[0] / "pg_ctl").exists():
        pytest.skip("needs PostgreSQL (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="smidgen-postgresql-"))
    server = Server(places[0], folder, free_port())
    try:
        server.make()
        server.start()
        yield server
        if (folder / "data" / "postmaster.pid").exists():
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


# --- Dask --------------------------------------------------------------------------------------


@dataclass
class Cluster:
    """A scheduler and workers, each a process that a test may kill and start again.

    With the scheme "tls" the processes find their certificates in Dask's environment variables. Arguments of the
    methods: `inside` is put before the command, for example `ip netns exec NAME`; `environment`
    is added to this process's environment.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    scheme: str = "tcp"
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def scheduler(self, *inside: str) -> subprocess.Popen[bytes]:
        place = ("--host", self.host, "--port", str(self.port), "--no-dashboard", "--no-show")
        return self._start("scheduler", inside, *place, "--no-jupyter", "--protocol", self.scheme)

    def worker(self, *inside: str, host: str = "127.0.0.1", **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker without a nanny, so that the process is the worker; it has a cache of its own."""
        cache = self.folder / f"cache-{len(self.processes)}"
        place = ("--host", host, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0")
        scratch = ("--local-directory", str(self.folder))
        own = {"SMIDGEN_CACHE": str(cache), **environment}
        return self._start("worker", inside, self.address, *place, *scratch, **own)

    def wait_for_scheduler(self) -> None:
        """Wait until it answers: on a busy machine that takes longer than a client waits."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.05)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        for process in self.processes:
            process.wait(30)

    def _start(self, kind: str, inside: tuple[str, ...], *rest: str, **environment: str) -> subprocess.Popen[bytes]:
        everything = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment}
        command = [*inside, sys.executable, "-m", f"distributed.cli.dask_{kind}", *rest]
        with (self.folder / f"{kind}-{len(self.processes)}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=everything))
        return self.processes[-1]


@contextmanager
def dask_cluster(folder: Path, workers: int = 0, host: str = "127.0.0.1", scheme: str = "tcp") -> Iterator[Cluster]:
    """Run a scheduler and `workers` workers while the block runs; skip the test if Dask is not installed."""
    pytest.importorskip("distributed", reason="needs Dask (pip install 'smidgen[cluster]')")
    cluster = Cluster(folder, host, scheme=scheme)
    try:
        if workers:
            cluster.scheduler()
        for _ in range(workers):
            cluster.worker()
        if workers:
            cluster.wait_for_scheduler()
        yield cluster
    finally:
        cluster.close()


# --- hosts -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Host:
    """A network namespace: it has addresses and routes of its own, as another machine would."""

    name: str
    address: str

    @property
    def inside(self) -> tuple[str, ...]:
        """The words before a command that runs there."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        _ip("link", "set", self.name, "down")

    def join(self) -> None:
        _ip("link", "set", self.name, "up")


@contextmanager
def hosts(count: int) -> Iterator[list[Host]]:
    """Make hosts on one switch with this machine; skip the test if that is not possible here."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("needs ip (Debian: apt-get install iproute2) and root")
    switch = f"sm{os.getpid()}"[:12]
    net = f"10.{os.getpid() % 200 + 20}.77"
    made = [Host(f"{switch}n{n}", f"{net}.{n + 10}") for n in range(count)]
    try:
        try:
            _ip("link", "add", switch, "type", "bridge")
        except AssertionError as error:
            pytest.skip(f"no network can be made here: {error}")
        _ip("addr", "add", f"{net}.1/24", "dev", switch)
        _ip("link", "set", switch, "up")
        for host in made:
            _ip("netns", "add", host.name)
            _ip("link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.name)
            _ip("link", "set", host.name, "master", switch, "up")
            for line in (f"addr add {host.address}/24 dev eth0", "link set eth0 up", "link set lo up"):
                _ip("-n", host.name, *line.split())
        yield made
    finally:
        for host in made:
            subprocess.run(["ip", "netns", "del", host.name], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", switch], capture_output=True, check=False)


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"ip {' '.join(arguments)}: {done.stderr.strip()}"
