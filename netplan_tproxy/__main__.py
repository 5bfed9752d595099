"""``python -m netplan_tproxy``: the same as ``tproxy-apply``."""

import sys

from netplan_tproxy.cli.main import main

sys.exit(main())
