"""Every program decides about every frame as the reference model does."""

from __future__ import annotations

import secrets

import pytest

from tests.packet_model.compare import Comparison
from tests.packet_model.generate import Generator
from tests.packet_model.settings import SETTINGS, Named, Setting
from tests.packet_model.stage import Stage
from tests.packet_model.terms import UNSPEC

pytestmark = [pytest.mark.lab, pytest.mark.bpf, pytest.mark.slow]

SEED = 20240229
FRAMES = 100_000
BATCH = 1000


def compared(stage: Stage, setting: Setting, seed: int, count: int) -> None:
    model = stage.apply(setting)
    with stage.lab.host.entered():
        for number in range(seed, seed + count // BATCH):
            complaint = Comparison(stage, model, number).run(BATCH)
            assert not complaint, f"{setting.name}, seed {number}: {complaint}"


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_every_verdict_is_the_model_s(stage: Stage, setting: Setting) -> None:
    compared(stage, setting, SEED, -(-FRAMES // len(SETTINGS)) + BATCH)


NOTHING = Setting("nothing is named", intercept=Named(to=()))


@pytest.mark.parametrize("configured", [True, False])
def test_what_is_not_ours_is_passed_on_untouched(stage: Stage, configured: bool) -> None:  # noqa: FBT001
    stage.apply(NOTHING)
    if not configured:
        stage.unconfigure()
    generator = Generator(SEED, stage.ifindexes, stage.macs)
    inputs = [generator.input()._replace(cb=(0,) * 5) for _ in range(4000)]
    with stage.lab.host.entered():
        ran = [stage.run(given) for given in inputs]
    assert {(result.retval, result.skb.cb) for result in ran} == {(UNSPEC, (0,) * 5)}
    assert [result.data for result in ran] == [given.frame for given in inputs]
    assert [result.skb.mark for result in ran] == [given.mark for given in inputs]


def test_frames_of_a_new_seed_each_time(stage: Stage) -> None:
    compared(stage, SETTINGS[secrets.randbelow(len(SETTINGS))], secrets.randbits(40), 2000)
