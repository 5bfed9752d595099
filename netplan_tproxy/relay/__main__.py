"""``python -m netplan_tproxy.relay``."""

from __future__ import annotations

import sys

from netplan_tproxy.relay.cli import main

sys.exit(main())
