"""A host with a relay that can be killed, far ends that echo, and clients of every kind."""

from __future__ import annotations

import contextlib
import json
import random
import select
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.lab import Lab
from tests.lab.host import Host
from tests.lab.patience import PATIENCE
from tests.lab.tcx import WAYS
from tests.paths import ROOT
from tests.traffic import live
from tests.traffic.soak.log import Error, Log, Span
from tests.traffic.support import BEHIND, BOUND, UNBOUND, introduce

_CLIENTS = {"unbound": UNBOUND, "bound": BOUND, "behind": BEHIND}
_FAST = "fastpath: {enabled: true, accept: [fionread]}"
SITES = {
    "plain": live.site(),
    "fast path": live.site(_FAST),
    "fast path for one port": live.site(
        "fastpath: {enabled: true, accept: [fionread], ports: [7]}"
    ),
    "when_down: bypass": live.site(when_down="bypass"),
    "another policy": live.site("bypass: {ports: [9999]}", "intercept: {ports: [7, 53]}"),
    "another mark": live.site("marks: {intercept: 0x40/0xf0}"),
    "tcx": live.site(f"attach: {WAYS[-1]}"),
    "both directions": live.site(interfaces=dict.fromkeys(("wan0", "lan0"), "[output, forward]")),
}
_READY = "listening on"


class How(NamedTuple):
    """``patience``: how long a client waits for an answer; ``pause``: between its operations."""

    seconds: float
    seed: int
    patience: float
    pause: float


class Relay:
    """``tproxy-relay``, which is killed and started again."""

    def __init__(self, lab: Lab, log: Log) -> None:
        self._lab, self._log = lab, log
        self._child = self._started()

    def _started(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "netplan_tproxy.relay", "--drain-seconds", "1"]
        for family in live.BOTH:
            address = f"[{family.loopback}]" if ":" in family.loopback else family.loopback
            words += ["--listen", f"{address}:9040"]
        child = self._lab.host.popen(words, cwd=ROOT, stderr=subprocess.PIPE)
        assert child.stderr is not None
        if not select.select([child.stderr], [], [], PATIENCE)[0]:
            raise AssertionError("the relay does not start")
        line = child.stderr.readline()
        if _READY not in line:
            raise AssertionError(line)
        return child

    def replace(self, how: str, pause: float) -> None:
        """End it with SIGKILL or SIGTERM, and have another one ``pause`` seconds later."""
        began = time.monotonic()
        self.end(how)
        time.sleep(pause)
        self._child = self._started()
        self._log.absences.append(Span(how, began, time.monotonic()))

    def end(self, how: str = "killed") -> None:
        if how == "killed":
            self._child.kill()
        else:
            self._child.terminate()
        self._child.communicate(timeout=PATIENCE)


class Crowd:
    """The clients, each in a process of its own; a thread reads what they say."""

    def __init__(self, lab: Lab, log: Log, how: How) -> None:
        self._log = log
        self.done: Counter[str] = Counter()
        self._children = {}
        self._threads = []
        for family in live.BOTH:
            for kind, sender in _CLIENTS.items():
                name = f"{kind} IPv{6 if ':' in family.far else 4}"
                words = [sys.executable, "-m", "tests.traffic.soak.client"]
                words += [family.far, sender.device, str(how.patience), str(how.pause)]
                words += [f"{how.seed} {name}"]
                pipe = subprocess.PIPE
                place = getattr(lab, sender.role)
                child = place.popen(words, cwd=ROOT, stdin=pipe, stdout=pipe)
                self._children[name] = child
                self._threads.append(threading.Thread(target=self._read, args=(name, child)))
                self._threads[-1].start()

    def _read(self, name: str, child: subprocess.Popen[str]) -> None:
        assert child.stdout is not None
        for line in child.stdout:
            told = json.loads(line)
            if "done" in told:
                self.done.update(told["done"])
                continue
            span = Span(told["what"], told["began"], told["ended"])
            self._log.errors.append(Error(name, told["operation"], span))

    def end(self) -> None:
        for child in self._children.values():
            assert child.stdin is not None
            child.stdin.close()
        for child in self._children.values():
            child.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)


@contextlib.contextmanager
def far_ends(lab: Lab) -> Iterator[None]:
    """Servers in NET that echo, in a process of their own."""
    words = [sys.executable, "-m", "tests.traffic.soak.far_end"]
    words += [family.far for family in live.BOTH]
    child = lab.net.popen(words, cwd=ROOT, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield
    finally:
        child.kill()
        child.communicate(timeout=PATIENCE)


def soak(how: How, folder: Path) -> tuple[Log, Counter[str]]:
    """Carry traffic for so long, and do everything to it; what happened, and how much."""
    log = Log()
    chance = random.Random(how.seed)  # noqa: S311 - what is done when
    with Lab(lan=True, ipv6=True) as lab, far_ends(lab):
        introduce(lab)
        host = Host(lab, folder)
        host.write(live.site())
        relay = Relay(lab, log)
        host.applied()
        crowd = Crowd(lab, log, how)
        try:
            until = time.monotonic() + how.seconds
            while time.monotonic() < until:
                time.sleep(chance.uniform(0.1, 2))
                if chance.random() < 0.5:
                    relay.replace(chance.choice(["killed", "ended"]), chance.choice([0, 0.3, 1]))
                else:
                    _apply(host, log, chance)
        finally:
            crowd.end()
            relay.end()
        host.destroyed()
    return log, crowd.done


def _apply(host: Host, log: Log, chance: random.Random) -> None:
    name = chance.choice(list(SITES))
    host.write(SITES[name])
    began = time.monotonic()
    done = host.spawn(str(host.site))
    log.applies.append(Span(name, began, time.monotonic()))
    if done.code:
        raise AssertionError(f"{name}: exit {done.code}: {done.err}")
