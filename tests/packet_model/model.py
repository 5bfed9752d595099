"""What each program must do with a frame that belongs to no socket but the proxy's listeners.

``BPF_PROG_TEST_RUN`` is a special place, and the model says so where it matters: the packet
has a socket of no protocol, owned by root, so TCP on its way out has no client; and it is not
at a device's ingress, so ``bpf_sk_assign`` refuses.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.packet_model import wire
from tests.packet_model.memory import Verdicts
from tests.packet_model.settings import Networks, Setting
from tests.packet_model.terms import (
    AGAIN,
    DATAGRAM,
    ETHERNET,
    NEW,
    OK,
    REDIRECT,
    SHOT,
    TO_CLIENT,
    TO_PROXY,
    UNSPEC,
    Input,
    Verdict,
    from_us,
    handed_over,
    taken,
)
from tests.packet_model.wire import ACK, RST, SYN, TCP, UDP, Flow, Packet, protocol_of, read

_GROUPS = Networks("224.0.0.0/3", "ff00::/8")  # RFC 5771, RFC 919, RFC 4291 2.7
_LINK = Networks("ff00::/8", "fe80::/10", "::1/128")  # RFC 4291: no router passes them on


@dataclass
class Model:
    """A host as set up, and what its programs remember. ``local``: what is not routed on."""

    setting: Setting
    local: Networks
    macs: dict[int, bytes]
    lo: int
    assigns: bool = False
    tracked: Verdicts = field(default_factory=Verdicts)
    inbound: set[Flow] = field(default_factory=set)
    asked_a_group: set[Flow] = field(default_factory=set)
    replies: dict[Flow, int] = field(default_factory=dict)
    fragments: set[tuple[int, int, int, int]] = field(default_factory=set)

    def anew(self) -> Model:
        """The same host, which remembers nothing."""
        return Model(self.setting, self.local, self.macs, self.lo, assigns=self.assigns)

    def judge(self, given: Input) -> Verdict:
        """Decide, and remember what the programs remember."""
        link = 0 if given.program.endswith("_l3") else ETHERNET
        found = read(given.protocol or protocol_of(given.frame), given.frame[link:], given.vlan)
        place = given.program.removesuffix("_l3")
        if place == "wan_egress":
            return self._wan_egress(given, found, link)
        if place == "lan_ingress" and not from_us(given, TO_CLIENT):
            return self._lan_ingress(given, found, link)
        of_lo = {"lo_ingress": self._lo_ingress, "lo_egress": self._lo_egress}
        return of_lo.get(place, self._wan_ingress)(given, found)

    # What this host sends.

    def _wan_egress(self, given: Input, found: Packet | str, link: int) -> Verdict:
        outcome, flags = self._outgoing(given, found, link)
        counted = ((given.ifindex, outcome), *self._why(given.ifindex, outcome, found))
        if outcome in {"intercepted", "icmp"}:
            value, mask = self.setting.intercept_mark
            mark = given.mark & ~mask | value
            cb = handed_over(TO_PROXY, self.lo, given.ifindex, flags, given.cb[4])
            change = "" if link else "framed"
            return Verdict(REDIRECT, counted, mark, cb, change)
        if outcome == "refused":
            assert isinstance(found, Packet)
            cb = handed_over(TO_CLIENT, given.ifindex, 0, 0, given.cb[4])
            return Verdict(REDIRECT, counted, given.mark, cb, "refused", found)
        action = SHOT if outcome in {"fragment_dropped", "unreadable"} else UNSPEC
        return Verdict(action, counted, given.mark, given.cb)

    def _outgoing(self, given: Input, found: Packet | str, link: int) -> tuple[str, int]:
        if given.came_by or isinstance(found, str):
            return ("forwarded" if given.came_by else self._message(given, str(found), link)), 0
        flow = found.flow
        # A group address of the link layer (IEEE 802): broadcast, whatever IP calls it.
        to_all = bool(link and given.frame[0] & 1)
        if found.unreadable:
            return self._unreadable(found, given.mark, local=True, to_all=to_all), 0
        answers = flow in self.inbound or self.tracked.knows(flow.turned())
        if self.tracked.get(flow) is None and flow._replace(source=0) in self.asked_a_group:
            answers = True
        if found.fragment:
            leave = answers and found.first_fragment
            return self._fragment(found, given.mark, local=True, to_all=to_all, leave=leave), 0
        if flow.protocol == TCP:
            if found.flags & (SYN | ACK) == SYN | ACK:
                self.replies.pop(flow, None)
            # No device: a connection that goes out directly has the tuple.
            return ("intercepted" if self.replies.get(flow) else "untracked"), 0
        if answers:
            return "untracked", 0
        fresh = self.tracked.get(flow) is None
        outcome = self._datagram(flow, given.mark, local=True, to_all=to_all)
        if fresh and outcome != "intercepted":
            self.replies.pop(flow, None)
        return outcome, DATAGRAM | NEW if fresh else DATAGRAM

    # What others send through this host.

    def _lan_ingress(self, given: Input, found: Packet | str, link: int) -> Verdict:
        outcome = self._passing(given, found, link)
        counted = ((given.ifindex, outcome), *self._why(given.ifindex, outcome, found))
        if outcome == "new":
            counted += ((given.ifindex, "intercepted"),)
        mark = given.mark
        cb = taken(given.cb) if from_us(given, AGAIN) else given.cb
        if outcome in {"local", "not_forwarding", "bypass_address"}:
            self._welcome(given, found)
        if outcome in {"intercepted", "new", "icmp"}:
            value, mask = self.setting.intercept_mark
            return Verdict(OK, counted, mark & ~mask | value, cb)
        if outcome == "refused":
            assert isinstance(found, Packet)
            return Verdict(REDIRECT, counted, mark, cb, "refused", found)
        dropped = {"fragment_dropped", "unreadable", "no_listener", "assign_failed"}
        return Verdict(SHOT if outcome in dropped else UNSPEC, counted, mark, cb)

    def _passing(self, given: Input, found: Packet | str, link: int) -> str:
        if isinstance(found, str):
            mine = not link or given.frame[:6] == self.macs[given.ifindex]
            return self._message(given, found, link) if mine else found
        stays = self._stays(given, found.flow, link)
        if stays:
            return "malformed" if found.unreadable else stays
        if not found.whole:
            part = self._unreadable if found.unreadable else self._fragment
            return part(found, given.mark, local=False)
        if found.flow.protocol == TCP:
            outcome, fresh = self._segment(found, given.mark)
        else:
            fresh = self.tracked.get(found.flow) is None
            outcome = self._datagram(found.flow, given.mark, local=False)
        if outcome != "intercepted":
            return outcome
        if not self.assigns:
            return "assign_failed"
        return "new" if fresh else "intercepted"

    def _stays(self, given: Input, flow: Flow, link: int) -> str:
        """Why a packet is not sent on by this host, "" if it is."""
        if flow.v6 and (_LINK.has(flow.source, v6=True) or _LINK.has(flow.target, v6=True)):
            return "local"
        if not self.setting.forwards:
            return "not_forwarding"
        if self.local.has(flow.target, v6=flow.v6):
            return "local"
        if link and given.frame[:6] != self.macs[given.ifindex]:
            # RFC 1812, 5.3.4: what a link's broadcast brings is not sent on.
            return "bypass_address" if given.frame[0] & 1 else "not_forwarding"
        return ""

    def _segment(self, found: Packet, mark: int) -> tuple[str, bool]:
        """A segment without a socket; whether it opens a connection."""
        flow = found.flow
        if found.opens:
            return self._decide(flow, mark, local=False), True
        if not self.tracked.get(flow):
            return "untracked", False
        if found.flags & RST:
            return "no_listener", False
        return ("intercepted" if self.setting.listens(flow) else "refused"), False

    # What both have in common.

    def _message(self, given: Input, outcome: str, link: int) -> str:
        """An ICMP error about what the proxy said to a client is the proxy's."""
        about = wire.read_error(given.protocol or protocol_of(given.frame), given.frame[link:])
        if outcome == "other_protocol" and about and self.tracked.ever_wanted(about):
            return "icmp"
        return outcome

    def _why(self, ifindex: int, outcome: str, found: Packet | str) -> tuple[tuple[int, str], ...]:
        """Count the reason why nobody got it, beside what became of it."""
        if outcome not in {"refused", "down_bypassed"} or isinstance(found, str):
            return ()
        return ((ifindex, "not_transparent"),) if self.setting.has_socket(found.flow) else ()

    def _decide(self, flow: Flow, mark: int, *, local: bool, to_all: bool = False) -> str:
        outcome = self.setting.decide(flow, mark, local=local, to_all=to_all)
        if outcome == "intercepted" and not self.setting.listens(flow):
            outcome = "down_bypassed" if self.setting.down_bypass else "refused"
        if outcome not in {"no_proxy", "bypass_address"}:
            self.tracked.put(flow, wanted=outcome in {"intercepted", "refused"})
        return outcome

    def _datagram(self, flow: Flow, mark: int, *, local: bool, to_all: bool = False) -> str:
        """Every datagram of an intercepted flow needs the listener."""
        wanted = self.tracked.get(flow)
        if wanted is None:
            return self._decide(flow, mark, local=local, to_all=to_all)
        if not wanted:
            return "untracked"
        return "intercepted" if self.setting.listens(flow) else "refused"

    def _unreadable(self, found: Packet, mark: int, *, local: bool, to_all: bool = False) -> str:
        """What may be to be intercepted does not leave, nor do fragments that follow it."""
        flow = found.flow
        key = (flow.source, flow.target, found.fragment_id, -1 if flow.v6 else flow.protocol)
        if self.setting.may_intercept(flow, mark, local=local, to_all=to_all):
            self.fragments.add(key)
            return "unreadable"
        return "malformed"

    def _fragment(
        self,
        found: Packet,
        mark: int,
        *,
        local: bool,
        to_all: bool = False,
        leave: bool = False,
    ) -> str:
        """Nothing of what is to be intercepted leaves; the key as in RFC 791 and RFC 8200 4.5.

        ``leave``: it is known for another reason that it is not to be intercepted.
        """
        flow = found.flow
        key = (flow.source, flow.target, found.fragment_id, -1 if flow.v6 else flow.protocol)
        if found.later_fragment:
            return "fragment_dropped" if key in self.fragments else "fragment"
        wanted = False if leave else self.tracked.get(flow)
        if wanted is None:
            outcome = self.setting.decide(flow, mark, local=local, to_all=to_all)
            wanted = outcome == "intercepted"
        if wanted:
            self.fragments.add(key)
            return "fragment_dropped"
        self.fragments.discard(key)  # another datagram has the number now
        return "fragment"

    # The devices' other sides.

    def _wan_ingress(self, given: Input, found: Packet | str) -> Verdict:
        if from_us(given, TO_CLIENT):
            return Verdict(OK, (), given.mark, taken(given.cb))
        self._welcome(given, found)
        return Verdict(UNSPEC, (), given.mark, given.cb)

    def _welcome(self, given: Input, found: Packet | str) -> None:
        """What somebody sends to a socket of this host, before this host spoke to them."""
        if isinstance(found, str) or found.later_fragment or found.flow.protocol != UDP:
            return
        if found.unreadable:
            return
        to_group = _GROUPS.has(found.flow.target, v6=found.flow.v6)
        if not given.program.endswith("_l3"):
            target = given.frame[:6]
            if target[0] & 1:
                to_group = True
            elif target != self.macs[given.ifindex]:
                return  # for another machine of the link
        if not self.setting.reaches_a_socket(found.flow):
            return
        answer = found.flow.turned()
        if to_group:
            # RFC 1122, 4.1.3.5: the answer comes from an address of this host's, whichever.
            self.asked_a_group.add(answer._replace(source=0))
        elif not self.tracked.knows(answer):
            self.inbound.add(answer)

    def _lo_ingress(self, given: Input, found: Packet | str) -> Verdict:
        if not from_us(given, TO_PROXY):
            return Verdict(UNSPEC, (), given.mark, given.cb)
        cb = taken(given.cb)
        if not given.cb[2]:
            return Verdict(OK, (), given.mark, cb)
        usable = isinstance(found, Packet) and found.whole and self.setting.listens(found.flow)
        outcome = "assign_failed" if usable else "no_listener"
        return Verdict(SHOT, ((given.cb[1], outcome),), given.mark, cb)

    def _lo_egress(self, given: Input, found: Packet | str) -> Verdict:
        nothing = Verdict(UNSPEC, (), given.mark, given.cb)
        if isinstance(found, str) or not found.whole:
            return nothing
        if not found.flow.v6 and found.flow.source >> 24 == 127:
            return nothing
        device = self.replies.get(found.flow.turned(), 0)
        if not device:
            return nothing
        cb = handed_over(TO_CLIENT, device, 0, 0, given.cb[4])
        return Verdict(REDIRECT, ((device, "reply"),), given.mark, cb)
