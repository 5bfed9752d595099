"""``python -m netplan_tproxy``: the same as ``tproxy-apply``."""

from netplan_tproxy.cli.entry import run

run()
