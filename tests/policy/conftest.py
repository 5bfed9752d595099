from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.site.model import Policy
from tests.policy.support import PolicyHost, policy_host

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PolicyHost]:
    with policy_host(tmp_path_factory.mktemp("site")) as made:
        yield made


@pytest.fixture
def host(shared_host: PolicyHost) -> Iterator[PolicyHost]:
    """A host without a policy: everything is intercepted; a module's tests share it."""
    shared_host.applied(Policy())
    yield shared_host
    assert shared_host.proxy.idle()
