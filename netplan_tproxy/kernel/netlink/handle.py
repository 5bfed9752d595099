"""Links, rules, routes, qdiscs and filters over rtnetlink, as plain values.

The one place where pyroute2 is used for them. Reading gives frozen records; each
change is one request that carries the full identity of its object, since a request
that leaves something out may hit somebody else's (rtnetlink(7)).
"""

from __future__ import annotations

from netplan_tproxy.kernel.netlink.ipv6_objects import Ipv6Objects
from netplan_tproxy.kernel.netlink.links import Links
from netplan_tproxy.kernel.netlink.routing import Routing
from netplan_tproxy.kernel.netlink.rules import Rules
from netplan_tproxy.kernel.netlink.tc import TrafficControl


class Netlink(Links, Routing, Rules, TrafficControl, Ipv6Objects):
    """Requests to the network namespace that the thread is in at the first of them."""
