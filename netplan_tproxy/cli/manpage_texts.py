"""What the manual pages say besides the options."""

from __future__ import annotations

from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Text:
    """The sections of one page; ``description`` is in the man(7) language.

    ``date`` is that of the last change, ``see`` names of other pages, separated by commas.
    """

    date: str
    description: str
    exits: tuple[tuple[int, str], ...]
    files: Pairs
    examples: tuple[tuple[str, tuple[str, ...]], ...]
    see: str


_APPLY = Text(
    date="2026-11-28",
    description="""\
.B tproxy\\-apply
makes the network namespace it runs in a transparent proxy: connections that the site file names
are led to a proxy on this host, which sees where they wanted to go.
It loads eBPF programs on the interfaces and sets the rule, route and sysctls that they need.
.PP
A run changes what differs from the site file and nothing else, all or nothing: whatever fails is
put back.
A run with nothing to do says so.
What was there before is on record, and
.B \\-\\-destroy
puts it back, without a site file.
""",
    exits=(
        (
            0,
            "As the file says and the proxy listens, or what was asked for was shown.",
        ),
        (1, "Refused, or failed before anything was touched. With --doctor: something fails."),
        (2, "The kernel is not as the file says (--check, --status)."),
        (3, "Failed half-way; everything was put back."),
        (4, "Failed half-way, and something could not be put back: it says what."),
        (5, "Another run holds the lock."),
        (6, "Something of others is in the way."),
        (7, "Nothing waits for confirmation, or not that run (--commit, --rollback)."),
        (8, "Another run waits for confirmation (--commit, --rollback)."),
        (9, "Too late: the change is going back (--commit)."),
        (10, "As the file says, but nobody listens where the proxy should (--check, --status)."),
        (64, "Wrong command line."),
        (65, "The site file is wrong."),
        (
            128,
            "And the number of a signal: it ended the run, which says what has become of the host.",
        ),
    ),
    files=(
        ("/etc/netplan-tproxy/site.yaml", "The site file, unless another is named."),
        ("/run/netplan-tproxy/", "What is ours, what was there before, and the run under way."),
        ("/sys/fs/bpf/netplan-tproxy/", "Programs and maps."),
        ("/etc/systemd/system/tproxy-apply.service", "Applies at boot; see --install-service."),
    ),
    examples=(
        ("Look first, then do it:", ("tproxy-apply --dry-run site.yaml", "tproxy-apply site.yaml")),
        ("Take it all away again:", ("tproxy-apply --destroy",)),
        ("Ask why it does not work:", ("tproxy-apply --doctor site.yaml",)),
        (
            "Have it applied at boot:",
            ("tproxy-apply --install-service", "systemctl enable --now tproxy-apply"),
        ),
    ),
    see="ip-rule(8), tc-bpf(8), systemd.service(5), networkd.conf(5)",
)

_RELAY = Text(
    date="2026-11-28",
    description="""\
.B tproxy\\-relay
is a small transparent proxy: it accepts the connections and datagrams that
.BR tproxy\\-apply (8)
leads to it, and carries them to where they were going.
It changes nothing in them, and keeps nothing of them.
.PP
It listens on the same address and port for TCP and UDP, with
.B IP_TRANSPARENT
sockets, which takes CAP_NET_ADMIN.
Its own connections carry a mark, so that they are left alone.
A connection that would come back to it is refused.
.PP
A line on standard error says where it listens, what it refuses, and when it ends; with
.B \\-v
there is one for each connection too.
.PP
On SIGTERM and SIGINT it accepts no more, and ends when the last connection has, or after
.BR \\-\\-drain\\-seconds ;
a second signal ends it at once.
""",
    exits=(
        (0, "It was told to end, and did."),
        (1, "It cannot listen, or may not set the mark."),
        (64, "Wrong command line."),
    ),
    files=(),
    examples=(
        (
            "For the smallest site file, on IPv4 and IPv6:",
            ("tproxy-relay --listen 127.0.0.1:9040 --listen [::1]:9040 --mark 0x2",),
        ),
    ),
    see="tproxy-apply(8), ip(7), socket(7)",
)

TEXTS = {"tproxy-apply": _APPLY, "tproxy-relay": _RELAY}
