from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import isolate, processes
from tests.lab.patience import LONG, PATIENCE

pytestmark = [pytest.mark.lab, pytest.mark.bpf]

DEMO = (sys.executable, "-m", "tests.demo.demo")


def test_every_claim_of_the_demo_holds() -> None:
    names = list(isolate.NETNS_DIR.iterdir())
    done = subprocess.run(DEMO, capture_output=True, text=True, timeout=LONG, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the kernel is as it was" in done.stdout
    assert list(isolate.NETNS_DIR.iterdir()) == names


def test_without_a_compiler_the_demo_fails_aloud(tmp_path: Path) -> None:
    (tmp_path / "bcc.py").write_text("raise ImportError('no bcc')\n")
    broken = {**os.environ, "PYTHONPATH": os.fspath(tmp_path)}
    done = subprocess.run(
        DEMO, capture_output=True, text=True, timeout=LONG, check=False, env=broken
    )
    assert done.returncode == 1
    assert "FAILED: it is applied" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_however_it_is_ended_no_process_of_it_remains(number: signal.Signals) -> None:
    # A session of its own, as a terminal gives it: Ctrl-C reaches every process in it.
    demo = subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    assert demo.stdout is not None
    with demo.stdout:
        for line in demo.stdout:
            if "make it so" in line:
                break
        family = descendants(demo.pid)
        assert len(family) >= 2, "the demo and its relay"
        if number == signal.SIGINT:
            os.killpg(demo.pid, number)
        else:
            demo.send_signal(number)
        assert demo.wait(15) != 0
    assert [pid for pid in family if not processes.ends_within(pid, PATIENCE)] == []


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [each for child in children for each in (int(child), *descendants(int(child)))]
