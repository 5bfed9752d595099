"""Whose a connection is: the user and the cgroup in which its socket was created."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.site.model import Policy
from tests.lab import cgroups
from tests.lab.patience import PATIENCE
from tests.policy.probes import taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.policy.support import PolicyHost

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
DAEMON = 1


@contextlib.contextmanager
def acting_as(user: int) -> Iterator[None]:
    """This process has another effective user."""
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("creator", [0, DAEMON])
def test_a_user_is_the_one_that_created_the_socket(host: PolicyHost, creator: int) -> None:
    host.applied(Policy(bypass_users=("daemon",)))
    with host.lab.host.entered(), acting_as(creator):
        near = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with near:
        near.settimeout(PATIENCE)
        with acting_as(DAEMON - creator):
            intercepted = taken(near, ("20.0.0.1", 80), host.proxy)
    assert intercepted == (creator != DAEMON)


@pytest.mark.parametrize("where", ["created", "used"])
def test_a_cgroup_is_the_one_in_which_the_socket_was_created(host: PolicyHost, where: str) -> None:
    with cgroups.cgroup() as named:
        host.applied(Policy(bypass_cgroups=(named,)))
        created, used = (named, "") if where == "created" else ("", named)
        with cgroups.inside(created):
            near = host.lab.host.socket(socket.AF_INET, socket.SOCK_STREAM)
        with near, cgroups.inside(used):
            near.settimeout(PATIENCE)
            assert taken(near, ("20.0.0.1", 80), host.proxy) == (where == "used")
        host.applied(Policy())
