"""A throw-away etcd for the tests of programs that use locker, and pytest's fixtures for it.

    # conftest.py, the topmost
    pytest_plugins = ["locker.testing"]

    # test_migration.py
    def test_only_one_migrates(locker_client):
        with locker_client.lock("db-migrate"):
            with pytest.raises(locker.TimeoutError):
                migrate()  # which says locker.lock("db-migrate", timeout=0)

It needs pytest, which nothing else in locker imports, and an etcd: $LOCKER_ETCD, else `etcd` on the PATH.

PYTEST_DONT_REWRITE: a conftest.py may import from here, too, and there are no assertions to rewrite.
"""

from locker.testing._etcd import Etcd
from locker.testing._fixtures import locker_client, locker_etcd, locker_prefix

__all__ = ["Etcd", "locker_client", "locker_etcd", "locker_prefix"]
