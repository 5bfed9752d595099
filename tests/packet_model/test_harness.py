"""The comparison itself: it reaches every outcome, and it finds a mistake."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from netplan_tproxy.datapath.programs import OUTCOMES
from tests.packet_model.compare import Comparison
from tests.packet_model.generate import PROGRAMS, Generator, flows
from tests.packet_model.model import Model
from tests.packet_model.settings import SETTINGS, Named, Setting
from tests.packet_model.stage import LOCAL, Stage

# What takes a socket or a configuration that is missing: other tests make those.
_OUT_OF_REACH = {
    "wan_egress": {
        "reply", "new", "local", "not_forwarding", "bypass_cgroup", "no_memory", "no_listener",
        "assign_failed", "time_wait", "icmp", "unconfigured", "other_namespace", "packet_socket",
        "too_long",
    },
    "lan_ingress": {
        "intercepted", "reply", "new", "forwarded", "bypass_user", "bypass_cgroup", "no_memory",
        "time_wait", "icmp", "unconfigured", "other_namespace", "packet_socket",
        "too_long",
    },
}  # fmt: skip


def reached(program: str) -> Iterator[str]:
    ifindexes = {name: number for number, name in enumerate(PROGRAMS, start=1)}
    macs = dict.fromkeys(PROGRAMS, b"\2\0\0\0\0\2")
    for seed, setting in enumerate(SETTINGS):
        known = flows(random.Random(seed), 12)  # noqa: S311 - the same every time
        generator = Generator(seed, ifindexes, macs, known)
        by_index = {ifindexes[name]: mac for name, mac in macs.items()}
        model = Model(setting, LOCAL, by_index, ifindexes["lo_ingress"])
        model.replies = dict.fromkeys(known, 1)
        for _ in range(6000):
            given = generator.input()
            counted = model.judge(given).counted
            if given.program == program:
                yield from (outcome for _, outcome in counted)


@pytest.mark.parametrize("program", _OUT_OF_REACH)
def test_the_frames_reach_every_outcome_that_needs_no_socket(program: str) -> None:
    assert set(OUTCOMES) - set(reached(program)) == _OUT_OF_REACH[program]


def test_a_seed_gives_the_same_frames_again() -> None:
    macs, ifindexes = dict.fromkeys(PROGRAMS, bytes(6)), dict.fromkeys(PROGRAMS, 1)
    first, second = (Generator(5, ifindexes, macs) for _ in range(2))
    assert [first.input() for _ in range(200)] == [second.input() for _ in range(200)]
    assert first.input() != Generator(6, ifindexes, macs).input()


def found_out(stage: Stage, applied: Setting, believed: Setting) -> str:
    model = stage.apply(applied)
    with stage.lab.host.entered():
        return Comparison(stage, replace(model, setting=believed), 1).run(1000)


@pytest.mark.lab
@pytest.mark.bpf
def test_a_wrong_verdict_is_found_with_its_frame(stage: Stage) -> None:
    believed = replace(SETTINGS[0], bypass=Named(ports=((0, 65535),)))
    complaint = found_out(stage, SETTINGS[0], believed)
    assert "returned, mark and cb" in complaint
    assert "\nframe " in complaint


@pytest.mark.lab
@pytest.mark.bpf
def test_a_wrong_counter_is_found_with_its_frame(stage: Stage) -> None:
    everything = ("0.0.0.0/0", "::/0")
    applied = replace(SETTINGS[1], bypass=Named(to=everything))
    believed = replace(SETTINGS[1], bypass=Named(from_=everything))
    complaint = found_out(stage, applied, believed)
    assert "bypass_from', 'packets'): 1" in complaint
    assert "bypass_to', 'packets'): 1" in complaint
    assert "\nframe " in complaint
