"""Sockets of this network namespace (sock_diag(7))."""
