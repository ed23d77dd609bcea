"""The store: what it keeps, who may share it, and what it says when it cannot."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from services import PASSWORD, Server, postgresql
from smidgen.errors import StoreError
from smidgen.records import Augmentation, Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import SCHEMA, Store, default_path

RECIPE = Recipe(loss="kl", temperature=3.0, learning_rate=0.1 + 0.2, epochs=3)
TRIAL = Trial(parse_spec("conv 2x3x3 leaky_relu(0.1), dense 10"), RECIPE, 7, "digest", "native-1-fma", "teacher key")
NUMBERS = count()
PATIENCE_SECONDS = 30
STORES = Path(__file__).parents[1] / "stores"
WEIGHTS = np.array([0.1, -0.0, 1e-45, math.inf], np.float32)
OUTCOME = Outcome(4, Score(95, 100), Score(48, 50), (0.1 + 0.2, 0.25), 1.5, WEIGHTS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
def file_store(path: Path) -> Iterator[Store]:
    with Store(path) as opened:
        yield opened


@pytest.fixture
def database(server: Server) -> str:
    """The URL of an empty database on PostgreSQL."""
    return server.create(f"test_{next(NUMBERS)}")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """Where a store of each kind may be made; the contract is held on both."""
    return str(request.getfixturevalue("path" if request.param == "sqlite" else "database"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store(url) as opened:
        yield opened


def fields(outcome: Outcome) -> dict[str, object]:
    """Everything but the weights, which are compared as bytes."""
    return {name: value for name, value in asdict(outcome).items() if name != "weights"}


def assert_same(left: Outcome | None, right: Outcome) -> None:
    assert left is not None
    assert fields(left) == fields(right)
    assert (left.weights.dtype.name, left.weights.tobytes()) == ("float32", right.weights.tobytes())


# --- what it keeps ---------------------------------------------------------------------------


def test_an_outcome_comes_back_bit_for_bit(store: Store) -> None:
    assert store.get(TRIAL) is None
    store.put(TRIAL, OUTCOME)
    found = store.get(TRIAL)
    assert_same(found, OUTCOME)
    assert found is not None
    found.weights[0] = 9  # the caller's own copy
    assert_same(store.get(TRIAL), OUTCOME)


def test_an_outcome_outlives_the_store(url: str) -> None:
    with Store(url) as first:
        first.put(TRIAL, OUTCOME)
    with Store(url) as second:
        assert_same(second.get(TRIAL), OUTCOME)


def test_a_diverged_outcome_keeps_its_nan(store: Store) -> None:
    weights = np.array([math.nan, 1], np.float32)
    store.put(TRIAL, replace(OUTCOME, losses=(2.3, math.nan), diverged_at=2, weights=weights))
    found = store.get(TRIAL)
    assert found is not None
    assert found.diverged_at == 2
    assert found.losses[0] == 2.3
    assert math.isnan(found.losses[1])
    assert found.weights.tobytes() == weights.tobytes()


def test_numbers_of_numpys_are_kept_as_numbers(store: Store) -> None:
    score = Score(np.int64(3), np.int64(4))  # type: ignore[arg-type]
    loss = np.float32(0.5)
    store.put(TRIAL, replace(OUTCOME, selection=score, losses=(loss,), train_seconds=np.float64(2)))  # type: ignore[arg-type]
    found = store.get(TRIAL)
    assert found is not None
    assert (found.selection, found.losses, found.train_seconds) == (Score(3, 4), (0.5,), 2.0)


@pytest.mark.parametrize(
    "other",
    [
        TRIAL.with_seed(8),
        replace(TRIAL, spec=parse_spec("dense 10")),
        replace(TRIAL, recipe=replace(RECIPE, learning_rate=0.3)),
        replace(TRIAL, data_digest="other"),
        replace(TRIAL, engine_name="torch"),
        replace(TRIAL, teacher_key=""),
        replace(TRIAL, start_digest="digest of what it starts from"),
        replace(TRIAL, recipe=replace(RECIPE, augment=Augmentation(shift=2))),
    ],
)
def test_every_field_of_a_trial_is_part_of_its_key(other: Trial, store: Store) -> None:
    store.put(TRIAL, OUTCOME)
    assert store.get(other) is None


def test_the_first_outcome_stays(store: Store) -> None:
    store.put(TRIAL, OUTCOME)
    store.put(TRIAL, replace(OUTCOME, parameters=5))
    assert_same(store.get(TRIAL), OUTCOME)
    assert len(store.rows()) == 1


def test_put_many_is_put_for_each(store: Store) -> None:
    store.put(TRIAL.with_seed(3), OUTCOME)
    pairs = [(TRIAL.with_seed(seed), replace(OUTCOME, parameters=seed)) for seed in range(120)]
    store.put_many(pairs)
    store.put_many([])
    found = store.get_many(trial for trial, _ in pairs)
    wanted = {trial.key: OUTCOME.parameters if trial.seed == 3 else trial.seed for trial, _ in pairs}
    assert {key: outcome.parameters for key, outcome in found.items()} == wanted


def test_get_many_finds_what_is_there_over_several_queries(store: Store) -> None:
    trials = [TRIAL.with_seed(seed) for seed in range(1100)]
    stored = trials[::100]
    for trial in stored:
        store.put(trial, replace(OUTCOME, parameters=trial.seed))
    found = store.get_many(iter(trials + trials))
    assert {key: outcome.parameters for key, outcome in found.items()} == {trial.key: trial.seed for trial in stored}
    assert store.get_many([]) == {}


def test_rows_rebuild_every_trial_without_its_weights(store: Store) -> None:
    moved = Recipe(augment=Augmentation(shift=1.5, shear=0.1), patience=3, average=0.99)
    trials = [
        TRIAL,
        TRIAL.with_seed(2**40),
        replace(TRIAL, recipe=Recipe()),
        replace(TRIAL, recipe=moved, start_digest="s"),
    ]
    for trial in trials:
        store.put(trial, OUTCOME)
    rows = store.rows()
    assert {trial for trial, _ in rows} == set(trials)
    assert {trial.key for trial, _ in rows} == {trial.key for trial in trials}
    for _, outcome in rows:
        assert fields(outcome) == fields(OUTCOME)
        assert outcome.weights.size == 0


def test_logits_come_back_with_their_shape_and_the_first_stay(store: Store) -> None:
    logits = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert store.get_array("teacher:data:train") is None
    store.put_array("teacher:data:train", logits)
    store.put_array("teacher:data:train", logits + 1)
    found = store.get_array("teacher:data:train")
    assert found is not None
    assert (found.dtype.name, found.shape, found.tolist()) == ("float32", (3, 2), logits.tolist())
    found[0, 0] = 5  # the caller's own copy
    assert store.get_array("teacher:data:test") is None


def test_logits_in_any_memory_order_are_kept_in_row_order(store: Store) -> None:
    logits = np.arange(6, dtype=np.float32).reshape(2, 3).T
    store.put_array("key", logits)
    found = store.get_array("key")
    assert found is not None
    assert found.tolist() == logits.tolist()


def test_plain_sql_reads_the_columns(file_store: Store, path: Path) -> None:
    """The columns of a schema are a promise; a change here needs a new schema version."""
    file_store.put(TRIAL, OUTCOME)
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("SELECT key, value FROM meta").fetchall() == [("schema", 3)]
        names = [column[1] for column in connection.execute("PRAGMA table_info(trials)")]
        row = dict(zip(names, connection.execute("SELECT * FROM trials").fetchone(), strict=True))
    finally:
        connection.close()
    created = row.pop("created")
    assert created[4] == "-"
    assert created.endswith("Z")
    assert len(row.pop("checksum")) == 64
    assert row == {
        "key": TRIAL.key,
        "spec": "conv 2x3x3 leaky_relu(0.1), dense 10",
        "recipe": '{"loss": "kl", "temperature": 3.0, "label_weight": 0.0, "optimizer": "adam", '
        '"learning_rate": 0.30000000000000004, "schedule": "one-cycle", "epochs": 3, "batch_size": 128, '
        '"patience": 0, "augment": {"shift": 0.0, "rotation": 0.0, "scale": 0.0, "shear": 0.0}, "average": 0.0}',
        "seed": 7,
        "data": "digest",
        "engine": "native-1-fma",
        "teacher": "teacher key",
        "parameters": 4,
        "selection_correct": 95,
        "selection_total": 100,
        "confirmation_correct": 48,
        "confirmation_total": 50,
        "losses": "[0.30000000000000004, 0.25]",
        "train_seconds": 1.5,
        "diverged_at": 0,
        "weights": WEIGHTS.astype("<f4").tobytes(),
        "start": "",
    }


# --- many at once ----------------------------------------------------------------------------


def test_eight_threads_write_and_read(store: Store) -> None:
    """Each thread puts its own trials and one that all share, and reads back at once."""

    def work(thread: int) -> int:
        for n in range(25):
            trial = TRIAL.with_seed(1000 * thread + n)
            store.put(trial, replace(OUTCOME, parameters=trial.seed))
            store.put(TRIAL.with_seed(10**6 + n), OUTCOME)
            found = store.get(trial)
            assert found is not None
            assert found.parameters == trial.seed
            assert store.get(TRIAL.with_seed(10**6 + n)) is not None
        return thread

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    assert len(store.rows()) == 8 * 25 + 25


def test_a_reader_does_not_wait_for_a_writer(file_store: Store, path: Path) -> None:
    file_store.put(TRIAL, OUTCOME)
    writer = sqlite3.connect(path, isolation_level=None)
    try:
        writer.execute("BEGIN IMMEDIATE")
        assert_same(file_store.get(TRIAL), OUTCOME)
        writer.execute("ROLLBACK")
    finally:
        writer.close()


def test_many_may_make_the_same_store_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(8, timeout=60)

    def work(path: Path) -> int:
        together.wait()
        with Store(path) as store:
            store.put(TRIAL, OUTCOME)
            return len(store.rows())

    with ThreadPoolExecutor(8) as pool:
        for n in range(10):
            assert list(pool.map(work, [tmp_path / f"store {n}"] * 8)) == [1] * 8


WRITER = """
import sys
import numpy as np
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

path, first, count, size = sys.argv[1], *map(int, sys.argv[2:])
spec = parse_spec("dense 10")
with Store(path) as store:
    for seed in range(first, first + count):
        trial = Trial(spec, Recipe(), seed, "data", "engine")
        weights = np.full(size, seed, np.float32)
        store.put(trial, Outcome(seed, Score(1, 2), Score(1, 2), (), 0.0, weights))
        print(seed, flush=True)
"""


def start_writer(path: Path, first: int, count: int, size: int = 1000) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WRITER, str(path), str(first), str(count), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def stored_seeds(path: Path) -> set[int]:
    """The seeds that a fresh store reads, each checked to be whole."""
    with Store(path) as store:
        trials = [trial for trial, _ in store.rows()]
        outcomes = store.get_many(trials)
    for trial in trials:
        assert outcomes[trial.key].parameters == trial.seed
        assert (outcomes[trial.key].weights == trial.seed).all()
    return {trial.seed for trial in trials}


def test_processes_that_open_a_new_store_at_once_lose_nothing(path: Path) -> None:
    writers = [start_writer(path, 100 * n, 30) for n in range(4)]
    for writer in writers:
        _, errors = writer.communicate(timeout=60)
        assert writer.returncode == 0, errors
    assert stored_seeds(path) == {100 * n + seed for n in range(4) for seed in range(30)}


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_what_put_returned_for_outlives_a_kill(path: Path) -> None:
    """Killed in mid-writing again and again, at other moments, the store opens and has every one."""
    printed: set[int] = set()
    for n, lines in enumerate((1, 7, 40, 90, 23)):
        with start_writer(path, 100_000 * n, 100_000, size=20_000) as writer:
            assert writer.stdout is not None
            printed |= {int(writer.stdout.readline()) for _ in range(lines)}
            writer.kill()
            # Up to the kill the writer went on; each line that came through whole was a put that returned.
            printed |= {int(line) for line in writer.stdout if line.endswith("\n")}
        assert writer.returncode == -signal.SIGKILL
        seeds = stored_seeds(path)
        assert printed <= seeds
        assert len(seeds - printed) <= n + 1, "at most one a kill was committed and not yet printed"


# --- who trains what -------------------------------------------------------------------------

SEEDS = [TRIAL.with_seed(seed) for seed in range(6)]


def test_a_claim_is_for_those_that_are_not_stored(store: Store) -> None:
    """On SQLite nothing is claimed, and what is stored is trained again and dropped."""
    store.put(SEEDS[1], OUTCOME)
    claimed = store.claim(SEEDS)
    store.release(SEEDS)
    assert claimed == (SEEDS if store.location.endswith(".sqlite") else [SEEDS[0], *SEEDS[2:]])
    assert store.claim([]) == []


def test_of_two_one_has_a_claim_until_it_puts_or_lets_go_or_closes(database: str) -> None:
    with Store(database) as one, Store(database) as other:
        assert one.claim(SEEDS[:3]) == SEEDS[:3]
        assert one.claim(SEEDS[:3]) == [], "the same store's other thread"
        assert other.claim(SEEDS) == SEEDS[3:]
        other.release(SEEDS)  # its own only
        assert other.claim(SEEDS[:3]) == []
        one.put(SEEDS[0], OUTCOME)
        one.release(SEEDS[1:2])
        assert other.claim(SEEDS[:3]) == [SEEDS[1]], "the first is stored, the third is claimed"
        one.close()
        assert other.claim(SEEDS[2:]) == SEEDS[2:]
        assert one.get(SEEDS[0]) is not None, "a closed store opens again"


CLAIMS = """
import sys
from smidgen.records import Recipe, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

store = Store(sys.argv[1])
trial = Trial(parse_spec("dense 10"), Recipe(), 0, "data", "engine")
print(len(store.claim([trial])), flush=True)
input()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX")
def test_a_killed_process_leaves_no_claim_behind(database: str, child: Callable[..., subprocess.Popen[str]]) -> None:
    trial = Trial(parse_spec("dense 10"), Recipe(), 0, "data", "engine")
    with Store(database) as store, child(CLAIMS, database) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "1\n"
        assert store.claim([trial]) == []
        other.kill()
        other.communicate()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (claimed := store.claim([trial])) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert claimed == [trial]


# --- a server that goes away -------------------------------------------------------------------


def test_a_server_that_restarts_is_waited_for_and_what_was_stored_is_there() -> None:
    with postgresql() as server, Store(server.url) as store:
        store.put(SEEDS[0], OUTCOME)
        assert store.claim(SEEDS[1:3]) == SEEDS[1:3]
        server.stop()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(store.put, SEEDS[1], OUTCOME)
            reading = pool.submit(store.get, SEEDS[0])
            server.start()
            waiting.result(PATIENCE_SECONDS)
            assert_same(reading.result(PATIENCE_SECONDS), OUTCOME)
        assert {trial.seed for trial, _ in store.rows()} == {0, 1}
        with Store(server.url) as other:
            assert other.claim(SEEDS[:3]) == [SEEDS[2]], "claims ended with the server"


def test_a_server_that_stays_away_is_one_clear_line_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.trials.store.database.BUSY_SECONDS", 0.1)
    with postgresql() as server, Store(server.url) as store:
        store.put(TRIAL, OUTCOME)
        server.stop()
        with pytest.raises(StoreError, match="check that the database can be reached") as caught:
            store.put(TRIAL.with_seed(8), OUTCOME)
        assert "\n" not in str(caught.value)
        assert f"127.0.0.1:{server.port}" in str(caught.value)
        for form in (PASSWORD, "s3cret"):
            assert form not in str(caught.value) + repr(caught.value.__cause__) + repr(store)
        with pytest.raises(StoreError, match="check that the database can be reached"):
            Store(server.url)
        server.start()
        assert_same(store.get(TRIAL), OUTCOME)


def test_a_wrong_password_is_said_at_once_and_not_shown(server: Server) -> None:
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        Store(server.url.replace("s3cret", "wrongword"))
    assert "wrongword" not in str(caught.value) + str(caught.value.__cause__)


# --- older schemas -----------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, path: Path) -> str:
    """A store that a Smidgen of schema 1 made: a teacher, its student and its logits, and two of one network."""
    if request.param == "sqlite":
        shutil.copy(STORES / "schema-1.sqlite", path)
        return str(path)
    server: Server = request.getfixturevalue("server")
    name = f"old_{next(NUMBERS)}"
    url = server.create(name)
    server.sql(name, (STORES / "schema-1.sql").read_text())
    return url


def test_a_store_of_schema_1_opens_and_what_it_has_is_found(old_url: str) -> None:
    """The trials are those of today that mean the same; nothing of them has changed."""
    data, engine = "d" * 64, "native-1-fused"
    spec = parse_spec("conv 4x3x3 relu, maxpool 2, dense 10")
    teacher = Trial(spec, Recipe(optimizer="nesterov", learning_rate=0.1, epochs=4), 0, data, engine)
    learned = Recipe(loss="kl", temperature=2, epochs=3)
    student = Trial(parse_spec("dense 2 leaky_relu(0.1), dense 10"), learned, 7, data, engine, teacher.key)
    plain = Trial(parse_spec("maxpool 2, dense 10"), Recipe(), 1, data, engine)
    for _ in range(2):  # migrated when it is first opened, and as it is from then on
        with Store(old_url) as store:
            for parameters, trial in ((3, student), (4, teacher), (5, plain)):
                weights = np.arange(parameters, dtype=np.float32) / 7
                scores = (Score(90 + parameters, 100), Score(45, 50))
                assert_same(store.get(trial), Outcome(parameters, *scores, (0.5, 0.25), 1.5, weights))
            diverged = store.get(plain.with_seed(2))
            assert diverged is not None
            assert (diverged.diverged_at, math.isnan(diverged.losses[1])) == (2, True)
            assert {trial.key for trial, _ in store.rows()} == {trial.key for trial in (teacher, student, plain)} | {
                plain.with_seed(2).key
            }
            logits = store.get_array(f"{teacher.key} {data} train")
            assert logits is not None
            assert logits.tobytes() == (np.arange(6, dtype=np.float32) / 3).tobytes()
    with Store(old_url) as store:
        store.put(plain.with_seed(3), OUTCOME)
        assert_same(store.get(plain.with_seed(3)), OUTCOME)
        assert len(store.rows()) == 5


def test_a_migration_that_is_killed_has_done_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(STORES / "schema-1.sqlite", path)

    def breaks(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("smidgen.trials.store.migrations._rename_logits", breaks)
        with pytest.raises(KeyboardInterrupt):
            Store(path)
    connection = sqlite3.connect(path)
    try:
        assert connection.execute("SELECT value FROM meta").fetchall() == [(1,)]
        assert "start" not in [column[1] for column in connection.execute("PRAGMA table_info(trials)")]
    finally:
        connection.close()
    with Store(path) as store:
        assert len(store.rows()) == 4


def test_many_open_an_old_store_at_once(old_url: str) -> None:
    together = threading.Barrier(4, timeout=PATIENCE_SECONDS)

    def work(_: int) -> int:
        together.wait()
        with Store(old_url) as store:
            return len(store.rows())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(4))) == [4] * 4


# --- what it refuses -------------------------------------------------------------------------


def change_schema(path: Path, version: int) -> None:
    connection = sqlite3.connect(path)
    try:
        with connection:
            connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (version,))
    finally:
        connection.close()


def test_a_newer_schema_is_refused_and_not_touched(path: Path) -> None:
    with Store(path) as store:
        store.put(TRIAL, OUTCOME)
    change_schema(path, SCHEMA + 1)
    with pytest.raises(StoreError, match=f"has schema {SCHEMA + 1} and this Smidgen knows {SCHEMA}; update smidgen"):
        Store(path)
    change_schema(path, SCHEMA)
    with Store(path) as store:
        assert_same(store.get(TRIAL), OUTCOME)


def test_a_file_that_is_no_database_is_refused_and_not_touched(path: Path) -> None:
    garbage = b"these are my notes, not a database. " * 100
    path.write_bytes(garbage)
    with pytest.raises(StoreError, match="file is not a database; it is some other file, left as it was"):
        Store(path)
    assert path.read_bytes() == garbage
    assert list(path.parent.iterdir()) == [path]


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="missing is not a directory; make it first"):
        Store(tmp_path / "missing" / "store.sqlite")


def test_a_directory_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="unable to open database file; give a file"):
        Store(tmp_path)


posix = pytest.mark.skipif(os.name != "posix", reason="users, limits and mounts are POSIX")


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[Path]:
    """A directory with a store that may be read and not written; as root, by becoming nobody for a while."""
    with Store(tmp_path / "store.sqlite") as store:
        store.put(TRIAL, OUTCOME)
    root = os.geteuid() == 0
    if root:
        for directory in tmp_path.parents[:2]:
            directory.chmod(directory.stat().st_mode | 0o055)
    tmp_path.chmod(0o555)
    (tmp_path / "store.sqlite").chmod(0o444)
    if root:
        os.seteuid(65534)
    try:
        yield tmp_path
    finally:
        if root:
            os.seteuid(0)
        tmp_path.chmod(0o700)


@posix
def test_no_permission_is_said(unprivileged: Path) -> None:
    assert (unprivileged / "store.sqlite").read_bytes()
    with pytest.raises(StoreError, match=r"store\.sqlite failed: .*; give a"):
        Store(unprivileged / "store.sqlite")
    with pytest.raises(StoreError, match="new failed: unable to open database file; give a file that you may"):
        Store(unprivileged / "new")
    assert [file.name for file in unprivileged.iterdir()] == ["store.sqlite"]


def test_a_read_only_database_is_refused(path: Path) -> None:
    Store(path).close()
    with pytest.raises(StoreError, match="readonly database; give a place that you may write to"):
        Store(f"sqlite:///file:{path}?mode=ro&uri=true")


def test_a_seed_beyond_64_bits_is_our_error(store: Store) -> None:
    with pytest.raises(StoreError, match=r"too large|out of range"):
        store.put(TRIAL.with_seed(2**70), OUTCOME)
    assert store.rows() == []


def test_a_writer_that_waits_too_long_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.trials.store.database.BUSY_SECONDS", 0.05)
    writer = sqlite3.connect(path, isolation_level=None)
    try:
        with Store(path) as store:
            writer.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="database is locked; another process has held it"):
                store.put(TRIAL, OUTCOME)
            writer.execute("ROLLBACK")
            store.put(TRIAL, OUTCOME)
            assert_same(store.get(TRIAL), OUTCOME)
    finally:
        writer.close()


FILLS_THE_DISK = """
import resource, sys
import numpy as np
from smidgen.errors import StoreError
from smidgen.records import Outcome, Recipe, Score, Trial
from smidgen.spec import parse_spec
from smidgen.trials.store import Store

trial = Trial(parse_spec("dense 10"), Recipe(), 0, "data", "engine")
outcome = Outcome(0, Score(1, 2), Score(1, 2), (), 0.0, np.zeros(10_000, np.float32))
with Store(sys.argv[1]) as store:
    if sys.argv[2:]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
    stored = 0
    try:
        while stored < 1000:
            store.put(trial.with_seed(stored), outcome)
            stored += 1
    except StoreError as error:
        print(error)
    rows = store.rows()
    print(stored, len(rows), sorted(trial.seed for trial, _ in rows) == list(range(stored)))
"""


def check_what_a_full_disk_left(printed: str, message: str) -> int:
    said, counts = printed.splitlines()
    assert message in said
    stored, rows, whole = counts.split()
    assert 0 < int(stored) == int(rows) < 1000
    assert whole == "True"
    return int(stored)


@posix
def test_a_limit_on_the_size_of_a_file_leaves_what_was_stored(path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", FILLS_THE_DISK, str(path), "400000"]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert finished.returncode == 0, finished.stderr
    stored = check_what_a_full_disk_left(finished.stdout, "disk I/O error; check the disk")
    with Store(path) as store:
        assert len(store.rows()) == stored
        store.put(TRIAL, OUTCOME)
        assert_same(store.get(TRIAL), OUTCOME)


ON_A_SMALL_DISK = """
mount -t tmpfs -o size=1m tmpfs "$1" || exit 77
exec "$2" -c "$3" "$1/store.sqlite"
"""


@posix
def test_a_full_disk_is_said_and_leaves_what_was_stored(tmp_path: Path) -> None:
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", ON_A_SMALL_DISK, "sh"]
    command += [str(tmp_path), sys.executable, FILLS_THE_DISK]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    except FileNotFoundError:
        pytest.skip("needs unshare (Linux)")
    if finished.returncode == 77 or "unshare" in finished.stderr:
        pytest.skip(f"no small disk can be mounted here: {finished.stderr.strip()}")
    assert finished.returncode == 0, finished.stderr
    check_what_a_full_disk_left(finished.stdout, "store.sqlite failed: database or disk is full; free some space")


# --- names and secrets -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+nodriver://user:secret@host/db",
        "mysql://user:secret@host/db",
        "oracle://host/db?password=secret",
        "postgresql://user:sec/secret@host:x/db",
        "postgresql://user:secret@host:x/db",
        "nothing://user:secret@host/db",
        "://secret",
    ],
)
def test_a_password_is_in_no_message(url: str) -> None:
    with pytest.raises(StoreError) as caught:
        Store(url)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None or "secret" not in str(caught.value.__cause__)


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_store_in_memory_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="has no file, so no two threads would share it; give a path"):
        Store(url)


def test_a_store_shows_where_it_is(file_store: Store, path: Path) -> None:
    assert file_store.location == str(path)
    assert repr(file_store) == f"Store({str(path)!r})"


def test_a_url_of_sqlite_is_the_same_store(file_store: Store, path: Path) -> None:
    file_store.put(TRIAL, OUTCOME)
    with Store(f"sqlite:///{path}") as other:
        assert_same(other.get(TRIAL), OUTCOME)


def test_the_default_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SMIDGEN_STORE", "SMIDGEN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_path() == tmp_path / "home" / ".cache" / "smidgen" / "store.sqlite"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_path() == tmp_path / "xdg" / "smidgen" / "store.sqlite"
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "ours"))
    assert default_path() == tmp_path / "ours" / "store.sqlite"
    assert (tmp_path / "ours").is_dir()
    monkeypatch.setenv("SMIDGEN_STORE", "postgresql://host/db")
    assert default_path() == "postgresql://host/db"


def test_a_cache_directory_that_cannot_be_made_is_our_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("SMIDGEN_STORE", raising=False)
    monkeypatch.setenv("SMIDGEN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(StoreError, match="set SMIDGEN_CACHE to a directory"):
        default_path()
