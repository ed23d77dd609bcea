"""Ordinary roles of PostgreSQL: what they need, what is said when they lack it, and the statements of the page."""

from __future__ import annotations

import logging
import re
import sqlite3
from pathlib import Path

import pytest

from services import Server
from smidgen.errors import StoreError
from smidgen.trials.store import Store
from store_samples import OUTCOME, SEEDS, TRIAL, assert_same

pytest_plugins = ("store_samples",)

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "team-store.md").read_text("utf-8")
GRANTS, PRUNE, CONTENT = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def role(server: Server, database: str) -> str:
    """The URL of the empty database for an ordinary role."""
    name = database.rsplit("/", 1)[1]
    server.sql(name, f"CREATE ROLE {name} LOGIN PASSWORD 'theirs'")
    return f"postgresql://{name}:theirs@127.0.0.1:{server.port}/{name}"


def test_a_role_that_may_not_make_tables_is_told_what_the_owner_must_do(role: str) -> None:
    with pytest.raises(StoreError, match=r"denied for schema public; .* let the owner .* open the store once"):
        Store(role)


def test_a_role_without_grants_is_told_them(role: str, database: str) -> None:
    Store(database).close()
    with pytest.raises(StoreError, match=r"denied for table meta; .*GRANT SELECT, INSERT ON ALL TABLES"):
        Store(role)


def test_the_grants_of_the_page_are_enough(server: Server, database: str, caplog: pytest.LogCaptureFixture) -> None:
    with Store(database) as owners:
        owners.put(SEEDS[0], OUTCOME)
        name = database.rsplit("/", 1)[1]
        server.sql(name, GRANTS)
        try:
            with Store(f"postgresql://ann:change%20me@127.0.0.1:{server.port}/{name}") as anns:
                use_as_a_run_does(anns)
                server.sql(name, "UPDATE trials SET train_seconds = 9 WHERE seed = 0")
                with caplog.at_level(logging.WARNING, "smidgen.trials.store"):
                    assert anns.get(SEEDS[0]) is None
            assert "computed again each time, because it cannot be deleted" in caplog.text
            assert {trial.seed for trial, _ in owners.rows()} == {0, 1}
        finally:
            server.sql(name, "DROP OWNED BY trainers; DROP ROLE ann, trainers")


def use_as_a_run_does(store: Store) -> None:
    assert_same(store.get(SEEDS[0]), OUTCOME)
    assert store.claim(SEEDS[:2]) == [SEEDS[1]]
    store.put(SEEDS[1], OUTCOME)
    store.put_array("name", OUTCOME.weights)
    store.put_measurement("name", 1.0, unit="s")
    store.put_score(TRIAL.key, split="selection", of="file", score=OUTCOME.selection)
    assert store.get_array("name") is not None


def test_an_older_schema_is_the_owners_to_migrate(server: Server, role: str, database: str) -> None:
    Store(database).close()
    name = database.rsplit("/", 1)[1]
    server.sql(
        name, f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO {name}; UPDATE meta SET value = 2"
    )
    with pytest.raises(StoreError, match="must be owner of table trials; the store has an older schema, which"):
        Store(role)


def test_the_page_prunes_a_store_on_a_server_and_in_a_file(server: Server, database: str, path: Path) -> None:
    for url in (database, str(path)):
        with Store(url) as store:
            store.put(TRIAL, OUTCOME)
            store.put(SEEDS[0], OUTCOME)
    old = "UPDATE trials SET created = '2025-12-31T23:59:59' WHERE seed = 0"
    name = database.rsplit("/", 1)[1]
    assert server.sql(name, CONTENT) == "digest|2|32"
    server.sql(name, f"{old};")
    server.sql(name, PRUNE)
    with sqlite3.connect(path, isolation_level=None) as connection:
        connection.execute(old)
        for statement in PRUNE.split(";"):
            connection.execute(statement)
    connection.close()
    for url in (database, str(path)):
        with Store(url) as store:
            assert [trial.seed for trial, _ in store.rows()] == [TRIAL.seed]


def test_a_store_holds_two_connections(server: Server, database: str) -> None:
    with Store(database) as store:
        store.claim(SEEDS)
        store.put(SEEDS[0], OUTCOME)
        store.get_many(SEEDS)
        name = database.rsplit("/", 1)[1]
        count = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
        assert server.sql("postgres", count) == "2"
