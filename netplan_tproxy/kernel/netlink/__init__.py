"""Links, addresses, routes, rules, qdiscs and filters over rtnetlink (rtnetlink(7))."""
