"""Site files under data/: each bad one gives its lines, each good one its values."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from netplan_tproxy.errors import SiteError
from netplan_tproxy.site.load import load

_DATA = Path(__file__).parent / "data"
_BAD = sorted(path.stem for path in (_DATA / "bad").glob("*.yaml"))
_GOOD = sorted(path.stem for path in (_DATA / "good").glob("*.yaml"))


@pytest.mark.parametrize("name", _BAD)
def test_a_bad_file_gives_every_problem_with_its_position(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(_DATA / "bad")
    expected = Path(f"{name}.txt").read_text(encoding="utf-8").splitlines()
    with pytest.raises(SiteError) as caught:
        load(f"{name}.yaml")
    assert list(map(str, caught.value.problems)) == expected
    assert caught.value.exit_code == 65


@pytest.mark.parametrize("name", _GOOD)
def test_a_good_file_gives_its_values_with_defaults(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(_DATA / "good")
    site = dataclasses.asdict(load(Path(f"{name}.yaml")))
    del site["where"], site["texts"]
    for one in site["routes"]:
        del one["place"]
    assert json.loads(json.dumps(site, default=bytes.hex)) == json.loads(
        Path(f"{name}.json").read_bytes()
    )


def test_the_data_is_complete() -> None:
    assert sorted(path.stem for path in (_DATA / "bad").glob("*.txt")) == _BAD
    assert sorted(path.stem for path in (_DATA / "good").glob("*.json")) == _GOOD
    assert len(_BAD) > 130
    assert len(_GOOD) > 30
