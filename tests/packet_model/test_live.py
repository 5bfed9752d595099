"""What arrives by a real device is counted as the reference model counts it.

A test run refuses frames without a whole IP header, sees no hardware VLAN tag, and can't
assign sockets; here is all of that. Nothing leaves the lab: its hosts are namespaces.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab.tcx import WAYS
from tests.packet_model import live
from tests.packet_model.generate import Generator
from tests.packet_model.model import Model
from tests.packet_model.settings import SETTINGS, Setting
from tests.packet_model.stage import Stage
from tests.packet_model.terms import Input
from tests.packet_model.wire import UDP

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

SEED = 19811
FRAMES = 2500
# A TCP listener would make sockets of what arrives, and the model knows of none.
QUIET = [
    SETTINGS[0],
    replace(SETTINGS[2], listening=frozenset({(UDP, False), (UDP, True)}), attach=WAYS[-1]),
    SETTINGS[3],
]


@pytest.fixture(params=QUIET, ids=lambda setting: setting.name, scope="module")
def quiet(stage: Stage, request: pytest.FixtureRequest) -> Model:
    live.silence(stage)
    setting: Setting = request.param
    return replace(stage.apply(setting), assigns=True)


def fresh(model: Model) -> Model:
    return model.anew()


def generator(stage: Stage) -> Generator:
    return Generator(SEED, stage.ifindexes, stage.macs)


def test_ethernet_frames_are_counted_as_the_model_says(stage: Stage, quiet: Model) -> None:
    ifindex, mac = stage.ifindexes["lan_ingress"], stage.macs["lan_ingress"]
    frames = live.frames(generator(stage), mac, FRAMES)
    inputs = [(frame, live.arriving(frame, "lan_ingress", ifindex)) for frame in frames]
    with live.wire(stage) as send:
        complaint = live.first_difference(stage, lambda: fresh(quiet), send, inputs)
    assert not complaint, f"seed {SEED}: {complaint}"


def test_packets_of_a_tunnel_are_counted_as_the_model_says(stage: Stage, quiet: Model) -> None:
    ifindex = stage.ifindexes["lan_ingress_l3"]
    packets = live.tun_packets(generator(stage), FRAMES)
    inputs = [
        (raw, Input("lan_ingress_l3", raw[4:], ifindex, protocol=int.from_bytes(raw[2:4], "big")))
        for raw in packets
    ]
    with live.tunnel(stage, "tun1") as send:
        complaint = live.first_difference(stage, lambda: fresh(quiet), send, inputs)
    assert not complaint, f"seed {SEED}: {complaint}"


def test_a_frame_cut_short_anywhere_is_counted_as_the_model_says(
    stage: Stage, quiet: Model
) -> None:
    ifindex, mac = stage.ifindexes["lan_ingress"], stage.macs["lan_ingress"]
    made = generator(stage)
    whole = [frame for frame in live.frames(made, mac, 100) if len(frame) > 40]
    cut = [frame[:size] for frame in whole for size in range(21, min(len(frame), 120))]
    inputs = [(frame, live.arriving(frame, "lan_ingress", ifindex)) for frame in cut]
    with live.wire(stage) as send:
        complaint = live.first_difference(stage, lambda: fresh(quiet), send, inputs)
    assert not complaint, f"seed {SEED}: {complaint}"


def test_a_wrong_counter_is_found_with_its_frame(stage: Stage, quiet: Model) -> None:
    ifindex, mac = stage.ifindexes["lan_ingress"], stage.macs["lan_ingress"]
    frames = live.frames(generator(stage), mac, 1000)
    inputs = [(frame, live.arriving(frame, "lan_ingress", ifindex)) for frame in frames]
    down_bypass = not quiet.setting.down_bypass
    believed = replace(quiet, setting=replace(quiet.setting, down_bypass=down_bypass))
    with live.wire(stage) as send:
        complaint = live.first_difference(stage, lambda: fresh(believed), send, inputs)
    number, frame = complaint.rpartition("from frame ")[2].split(": ")
    assert frames[int(number)].hex() == frame
