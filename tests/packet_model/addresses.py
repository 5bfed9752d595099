"""Addresses and ports that the policies of ``settings`` tell apart, and any others."""

from __future__ import annotations

import ipaddress
import random

# Those of the lab's host, its neighbours, and what RFC 5735 and RFC 4291 set apart.
SPECIAL_4 = (
    "10.77.0.2", "10.77.0.255", "10.79.0.1", "10.79.0.255", "127.0.0.1", "127.8.8.8", "0.0.0.0",
    "0.1.2.3", "255.255.255.255", "224.0.0.251", "239.255.255.250", "240.0.0.1", "169.254.1.1",
    "223.255.255.255", "128.0.0.0", "126.255.255.255", "169.255.0.0", "1.0.0.0",
)  # fmt: skip
SPECIAL_6 = (
    "fd77::2", "fd79::1", "fd77::", "fd79::", "::1", "::", "::ffff:1.1.1.1", "::1.2.3.4",
    "::1:0:0", "::1:0:0:0", "ff02::1", "ff0e::1234", "feff::1", "fe80::1", "febf::1", "fec0::1",
    "::8:1.2.3.4", "64:ff9b::1.1.1.1",
)  # fmt: skip
FAR_4 = ("1.1.1.1", "1.1.2.1", "8.8.8.8", "93.184.216.34", "192.0.2.9", "203.0.113.5", "70.0.0.1")
FAR_6 = ("2606:4700:4700::1111", "2001:4860:4860::8888", "2606:4701::1", "3fff::1", "4000::1")
NEAR_4 = ("10.77.0.2", "10.79.0.2", "10.79.0.127", "10.79.0.128", "10.79.0.200", "172.16.0.1")
NEAR_6 = ("fd77::2", "fd79::2", "fd79::8000:0:0:1", "fd79::7fff:ffff:ffff:ffff", "fe00::1")
PORTS = (
    0, 1, 22, 52, 53, 54, 79, 80, 81, 442, 443, 444, 1023, 1024, 4999, 5000, 5999, 6000, 9040,
    33333, 40000, 40001, 65535,
)  # fmt: skip


def _packed(*texts: str) -> tuple[bytes, ...]:
    return tuple(ipaddress.ip_address(text).packed for text in texts)


_POOLS = {
    False: (_packed(*SPECIAL_4), _packed(*FAR_4), _packed(*NEAR_4)),
    True: (_packed(*SPECIAL_6), _packed(*FAR_6), _packed(*NEAR_6)),
}


_GROUPS = {
    False: _packed("224.0.0.251", "239.255.255.250", "255.255.255.255"),
    True: _packed("ff02::1", "ff0e::1234"),
}


def target(rng: random.Random, *, v6: bool) -> bytes:
    special, far, near = _POOLS[v6]
    return _from(rng, ((far, 0.7), (special, 0.9), (near, 0.95)), 16 if v6 else 4)


def source(rng: random.Random, *, v6: bool) -> bytes:
    special, far, near = _POOLS[v6]
    return _from(rng, ((near, 0.8), (far, 0.9), (special, 0.95)), 16 if v6 else 4)


def group(rng: random.Random, *, v6: bool) -> bytes:
    return rng.choice(_GROUPS[v6])


def _from(
    rng: random.Random, pools: tuple[tuple[tuple[bytes, ...], float], ...], size: int
) -> bytes:
    dice = rng.random()
    for pool, upto in pools:
        if dice < upto:
            return rng.choice(pool)
    return rng.randbytes(size)


def ports(rng: random.Random) -> tuple[int, int]:
    return port(rng), port(rng)


def port(rng: random.Random) -> int:
    return rng.choice(PORTS) if rng.random() < 0.8 else rng.getrandbits(16)
