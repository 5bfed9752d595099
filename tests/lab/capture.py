"""Records what passes a wire, to prove that nothing leaked."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Self

from tests.lab.packets import Packet, parse
from tests.lab.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from tests.lab.namespace import Namespace

_ETH_P_ALL = 0x0003
_PACKET_OUTGOING = 4
_SETTLE = 0.05
_RECEIVE_BUFFER = 8 << 20


class Capture:
    """Packets on one device of a namespace, from ``with`` on; at most ``limit`` of them.

    Listening begins when ``__enter__`` returns. ``packets`` waits a moment for stragglers.
    """

    def __init__(self, namespace: Namespace, device: str, *, limit: int = 100_000) -> None:
        self.overflowed = False
        self._limit = limit
        self._found: list[Packet] = []
        with namespace.entered():
            # Protocol 0 receives nothing until bind names the device: no frame of another one.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            self._socket.bind((device, _ETH_P_ALL))
        self._socket.settimeout(0.02)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"capture-{device}", daemon=True)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                frame, address = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            except OSError:
                return
            packet = parse(frame, arrived=address[2] != _PACKET_OUTGOING)
            if packet is None:
                continue
            if len(self._found) >= self._limit:
                self.overflowed = True
                return
            self._found.append(packet)

    @property
    def packets(self) -> list[Packet]:
        """All so far, once the wire has been quiet for a moment (1 s at most)."""
        deadline = time.monotonic() + 1
        seen = -1
        while seen != len(self._found) and time.monotonic() < deadline:
            seen = len(self._found)
            time.sleep(_SETTLE)
        if self.overflowed:
            raise AssertionError(f"more than {self._limit} packets: the capture is incomplete")
        return list(self._found)

    def arrived(self, proto: str = "") -> list[Packet]:
        """What came in over the wire, of one protocol if named."""
        return [p for p in self.packets if p.arrived and proto in {"", p.proto}]

    def wait_for(self, wanted: Callable[[Packet], bool], timeout: float = PATIENCE) -> Packet:
        """The first packet that fits, once there is one."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for packet in self._found:
                if wanted(packet):
                    return packet
            time.sleep(0.01)
        raise AssertionError(f"no such packet in {timeout} s; seen: {list(map(str, self._found))}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        self._socket.close()
