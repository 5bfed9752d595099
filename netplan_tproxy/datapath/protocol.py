"""The number by which the kernel's own tables say that a rule or route is ours."""

from __future__ import annotations

# The routing protocol number that says "made by netplan-tproxy" (rtnetlink(7): 4 to 255
# are free for user space; iproute2's rt_protos does not name this one).
OUR_PROTOCOL = 233
