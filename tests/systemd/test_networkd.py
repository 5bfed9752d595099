"""What networkd.conf(5) says about things that are not its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netplan_tproxy.systemd.networkd import SETTINGS, missing, removes_foreign

if TYPE_CHECKING:
    from pathlib import Path

RULES, ROUTES = SETTINGS
BOTH = f"[Network]\n{RULES}=no\n{ROUTES}=no\n"


@pytest.mark.parametrize(
    ("texts", "left"),
    [
        ([], SETTINGS),
        ([""], SETTINGS),
        (["[DHCPv4]\nDUIDType=vendor\n"], SETTINGS),
        ([BOTH], ()),
        ([BOTH.replace("=no", " = FALSE ")], ()),
        ([f"[Network]\n{RULES}=no\n"], (ROUTES,)),
        ([f"[Network]\n{RULES}=no\n", f"[Network]\n{ROUTES}=off\n"], ()),
        ([BOTH, f"[Network]\n{ROUTES}=yes\n"], (ROUTES,)),
        (["no ini file at all", BOTH], ()),
        ([BOTH.replace("[Network]", "[Other]")], SETTINGS),
    ],
)
def test_both_settings_have_to_say_no(texts: list[str], left: tuple[str, ...]) -> None:
    assert missing(texts) == left


def running(root: Path) -> None:
    state = root / "run/systemd/netif/state"
    state.parent.mkdir(parents=True)
    state.touch()


def put(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_one_that_does_not_run_removes_nothing(tmp_path: Path) -> None:
    assert removes_foreign(tmp_path) == ()


def test_one_that_runs_as_it_comes_removes_rules_and_routes(tmp_path: Path) -> None:
    running(tmp_path)
    assert removes_foreign(tmp_path) == SETTINGS


def test_a_drop_in_is_read_after_the_main_file(tmp_path: Path) -> None:
    running(tmp_path)
    put(tmp_path, "etc/systemd/networkd.conf", f"[Network]\n{RULES}=yes\n")
    put(tmp_path, "usr/lib/systemd/networkd.conf.d/10-proxy.conf", BOTH)
    assert removes_foreign(tmp_path) == ()


def test_a_drop_in_of_the_administrator_takes_the_place_of_one_of_the_same_name(
    tmp_path: Path,
) -> None:
    running(tmp_path)
    put(tmp_path, "usr/lib/systemd/networkd.conf.d/10-proxy.conf", BOTH)
    put(tmp_path, "etc/systemd/networkd.conf.d/10-proxy.conf", "[Network]\n")
    assert removes_foreign(tmp_path) == SETTINGS
