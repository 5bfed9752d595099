"""UDP flows that say nothing for a while, and other rules meanwhile: the programs and the model."""

from __future__ import annotations

import random
import socket
import struct

import pytest

from tests.packet_model.compare import wrong
from tests.packet_model.settings import SETTINGS, Setting
from tests.packet_model.stage import Stage
from tests.packet_model.terms import Input
from tests.packet_model.wire import UDP

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
STEPS = 120
# A tick of the programs' clock, and a busy machine, must not decide.
MARGIN = 4.0
RULES = (
    Setting("let out while nobody listens", down_bypass=True),
    Setting("refused while nobody listens"),
)


def datagram(stage: Stage, program: str, port: int) -> Input:
    source, target = socket.inet_aton("10.79.0.2"), socket.inet_aton("1.1.1.1")
    udp = struct.pack("!HHHH", port, 53, 8, 0)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, UDP, 0)
    frame = stage.macs[program] + bytes(6) + b"\x08\0" + head + source + target + udp
    return Input(program, frame, stage.ifindexes[program])


@pytest.mark.parametrize("seed", range(6))
def test_a_verdict_is_as_old_as_the_model_says(stage: Stage, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - to be had again
    model = stage.apply(RULES[0])
    seen: set[str] = set()
    for _ in range(STEPS):
        kind = rng.random()
        if kind < 0.1:
            model = stage.apply(rng.choice((*RULES, SETTINGS[1])), knowing=model.tracked)
        elif kind < 0.4:
            seconds = rng.choice((6.0, 20.0, 45.0, 90.0, 200.0))
            model.tracked.now += seconds
            if any(abs(model.tracked.left(flow)) < MARGIN for flow in model.tracked.flows()):
                model.tracked.now -= seconds
            else:
                stage.age(seconds)
        else:
            program = rng.choice(("lan_ingress", "wan_egress"))
            given = datagram(stage, program, rng.choice((4000, 4001, 4002)))
            verdict = model.judge(given)
            with stage.lab.host.entered():
                ran = stage.run(given)
            assert wrong(given, verdict, ran) == ""
            seen.update(outcome for _, outcome in verdict.counted)
    assert {"untracked", "down_bypassed", "refused"} <= seen
