"""The fixtures."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest

import locker
from locker.testing._etcd import Etcd


@pytest.fixture(scope="session")
def locker_etcd() -> Iterator[str]:
    """The endpoint of a throw-away etcd. It is started for the first test that wants it and ended after the last one, also
    when tests fail or pytest is killed. Under pytest-xdist each worker has its own."""
    try:
        etcd = Etcd()
    except locker.UnavailableError as error:
        pytest.fail(f"locker_etcd: {error}", pytrace=False)
    with etcd:
        yield etcd.endpoint


@pytest.fixture
def locker_prefix() -> str:
    """What is put before every key of this test: no other test has it, nor this one when it runs again."""
    return f"/test/{uuid.uuid4().hex}/"


@pytest.fixture
def locker_client(locker_etcd: str, locker_prefix: str) -> Iterator[locker.Client]:
    """A client of `locker_etcd` with `locker_prefix`. Until the test ends it is the default client: what the test calls may
    say locker.lock(), or aio.lock(); and the environment says the same to connect() and to programs that the test starts.
    """
    with pytest.MonkeyPatch.context() as patch:
        for variable in filter(_is_of_another_cluster, list(os.environ)):
            patch.delenv(variable)
        patch.setenv("LOCKER_ENDPOINTS", locker_etcd)
        patch.setenv("ETCDCTL_ENDPOINTS", locker_etcd)
        patch.setenv("LOCKER_PREFIX", locker_prefix)
        with locker.connect() as client:
            patch.setattr("locker._default._client", client)
            yield client


def _is_of_another_cluster(variable: str) -> bool:
    """Certificates, say, would be an error with this one."""
    ours = ("USER", "PASSWORD", "PASSWORD_FILE", "CACERT", "CERT", "CERT_KEY")
    return variable.startswith("ETCDCTL_") or variable in [f"LOCKER_{name}" for name in ours]
