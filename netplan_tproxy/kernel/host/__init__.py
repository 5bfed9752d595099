"""Sysctls, users, cgroups, capabilities, namespaces, netfilter rules."""
