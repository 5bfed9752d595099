"""Frames through the kernel's programs and through the model, side by side."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from tests.lab.testrun import Ran
from tests.packet_model import answers
from tests.packet_model.generate import Generator, flows
from tests.packet_model.model import Model
from tests.packet_model.stage import Counted, Stage
from tests.packet_model.terms import ETHERNET, Input, Verdict
from tests.packet_model.wire import protocol_of

_REPLIES = 12


def wrong(given: Input, wanted: Verdict, ran: Ran) -> str:
    """Say in what the program and the model differ; "" if in nothing."""
    got = ran.retval, ran.skb.mark, ran.skb.cb
    if got != (wanted.action, wanted.mark, wanted.cb):
        return f"returned, mark and cb {got}, wanted {wanted.action, wanted.mark, wanted.cb}"
    if wanted.change == "refused":
        return _wrong_answer(given, wanted, ran)
    frame = given.frame
    if wanted.change == "framed":
        frame = bytes(12) + protocol_of(frame).to_bytes(2, "big") + frame
    return "" if ran.data == frame else f"frame became {ran.data.hex()}"


def _wrong_answer(given: Input, wanted: Verdict, ran: Ran) -> str:
    assert wanted.packet
    link = 0 if given.program.endswith("_l3") else ETHERNET
    ends = given.frame[:link]
    if given.program == "lan_ingress":
        ends = ends[6:12] + ends[:6] + ends[12:]
    if ran.data[:link] != ends:
        return f"link-layer header {ran.data[:link].hex()}"
    complaint = answers.wrong(wanted.packet, given.frame[link:], ran.data[link:])
    return f"answer {ran.data.hex()}: {complaint}" if complaint else ""


class Comparison:
    """One batch; what the programs remember begins empty but for a few replies."""

    def __init__(self, stage: Stage, model: Model, seed: int) -> None:
        self._stage = stage
        self._empty = model
        self._known = flows(random.Random(seed), _REPLIES)  # noqa: S311 - to be had again
        self._generator = Generator(seed, stage.ifindexes, stage.macs, self._known)
        self.seen: Counter[tuple[str, str]] = Counter()

    def run(self, count: int) -> str:
        """Compare ``count`` frames; say where the first difference is, "" if there is none."""
        inputs = [self._generator.input() for _ in range(count)]
        complaint = self._steadily(inputs)
        if not complaint.startswith("counters"):
            return complaint
        # Frame by frame is exact but slow: halve until one is left.
        low, high = 0, len(inputs)
        while high - low > 1:
            middle = (low + high) // 2
            if self._steadily(inputs[:middle]):
                high = middle
            else:
                low = middle
        return _described(inputs[high - 1], self._steadily(inputs[:high]) or complaint)

    def _steadily(self, inputs: Sequence[Input]) -> str:
        """Compare; what the kernel itself sends meanwhile (MLD, say) is not counted each time."""
        complaint = ""
        for _ in range(4):
            complaint = self._compare(inputs)
            if not complaint.startswith("counters"):
                break
        return complaint

    def _compare(self, inputs: Sequence[Input]) -> str:
        model = self._empty.anew()
        self._stage.forget()
        for number, flow in enumerate(self._known):
            device = self._stage.ifindexes["wan_egress"] if number % 4 else 0
            self._stage.remember_reply(flow, device)
            model.replies[flow] = device
        wanted: Counted = Counter()
        before = self._stage.counters()
        seen: Counter[tuple[str, str]] = Counter()
        for given in inputs:
            verdict = model.judge(given)
            ran = self._stage.run(given)
            complaint = wrong(given, verdict, ran)
            if complaint:
                return _described(given, complaint)
            for ifindex, outcome in verdict.counted:
                wanted[ifindex, outcome, "packets"] += 1
                wanted[ifindex, outcome, "bytes"] += len(given.frame)
                seen[given.program, outcome] += 1
        after = self._stage.counters()
        after.subtract(before)
        counted = Counter({key: number for key, number in after.items() if number})
        self.seen = seen
        if counted == wanted:
            return ""
        missing, extra = wanted - counted, counted - wanted
        return f"counters lack {dict(missing)} and have {dict(extra)}"


def _described(given: Input, complaint: str) -> str:
    return (
        f"{given.program}, ifindex {given.ifindex}, mark {given.mark:#x}, forwarded from "
        f"{given.came_by}, cb {given.cb}: {complaint}\nframe {given.frame.hex()}"
    )
