"""``tproxy-relay``: a small transparent relay for TCP and UDP."""
