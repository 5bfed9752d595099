from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.datapath import support

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Applied]:
    """A lab with ``wan0`` on which the site file is applied; shared by a module's tests."""
    with support.applied(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Applied]:
    """The same for one test alone."""
    with support.applied(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def proxy(host: support.Applied) -> Iterator[socket.socket]:
    """A listener that is the proxy of ``host``."""
    with support.listener(host) as made:
        yield made
