"""``--install-service``: the unit that applies the site file at boot."""

from __future__ import annotations

from netplan_tproxy.commands.options import Environment, Options
from netplan_tproxy.systemd import service


def carry_out(options: Options, environment: Environment) -> int:
    """Write the unit, and say what to do next. Raises TproxyError."""
    reporter = environment.reporter
    site = options.site if options.site_named else ""
    done = service.install(options.root, site, adopt=options.adopt)
    reporter.show(reporter.rendered(done.as_json(), lambda _: service.lines(done)))
    return 0
