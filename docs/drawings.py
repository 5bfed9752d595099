"""Draw docs/packet.svg and docs/run.svg: ``python docs/drawings.py``.

A test fails while a drawing differs from what this makes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from html import escape
from pathlib import Path

HERE = Path(__file__).parent
_LINE = 16
_STYLE = """\
<style>
  text { font: 13px sans-serif; fill: #1f2328 }
  .small { font-size: 11px; fill: #59636e }
  .head { font-weight: bold }
  rect { fill: #f6f8fa; stroke: #59636e; rx: 6 }
  rect.ours { fill: #ddf4ff; stroke: #0969da }
  rect.frame { fill: none; stroke: #d1d9e0; stroke-dasharray: 5 4 }
  path { fill: none; stroke: #1f2328; stroke-width: 1.5; marker-end: url(#tip) }
  path.back { stroke: #8250df }
  path.fail { stroke: #cf222e }
  .page { fill: #ffffff; stroke: none }
</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7"
 orient="auto"><polygon points="0,0 8,4 0,8" fill="#1f2328"/></marker></defs>"""


class Drawing:
    """Boxes, arrows and words on a grid of pixels."""

    def __init__(self, title: str, width: int, height: int) -> None:
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
            f' width="{width}" height="{height}" role="img" aria-label="{escape(title)}">',
            _STYLE,
            f'<rect class="page" width="{width}" height="{height}"/>',
        ]

    def box(self, x: int, y: int, width: int, lines: str, kind: str = "") -> None:
        """A box with a heading and smaller lines below it."""
        first, *rest = lines.split("\n")
        height = 20 + _LINE * (1 + len(rest)) - 6
        self._parts.append(
            f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"/>'
        )
        self.text(x + width // 2, y + 19, first, "head")
        for number, line in enumerate(rest, 1):
            self.text(x + width // 2, y + 19 + number * _LINE, line, "small")

    def frame(self, x: int, y: int, width: int, height: int, words: str) -> None:
        """A dashed frame around several boxes."""
        self._parts.append(
            f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}"/>'
        )
        self.text(x + 10, y + 17, words, "small", anchor="start")

    def arrow(
        self, points: str, words: str = "", at: tuple[int, int] = (0, 0), kind: str = ""
    ) -> None:
        """An arrow along ``points`` ("x,y x,y …") with words beside it."""
        self._parts.append(f'<path class="{kind}" d="M {points.replace(" ", " L ")}"/>')
        for number, line in enumerate(words.split("\n") if words else ()):
            self.text(at[0], at[1] + number * 13, line, "small")

    def text(self, x: int, y: int, words: str, kind: str = "", anchor: str = "middle") -> None:
        """Words, centred unless told otherwise."""
        self._parts.append(
            f'<text class="{kind}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def svg(self) -> str:
        """The whole as text."""
        return "\n".join([*self._parts, "</svg>", ""])


def packet() -> str:
    """The way of a packet of this host's own."""
    d = Drawing("the way of a packet", 860, 470)
    d.frame(10, 10, 840, 360, "this host")
    d.box(40, 60, 170, "client\nconnect(1.1.1.1:80)")
    d.box(640, 60, 180, "proxy\nlistens on 127.0.0.1:9040\nmarks its own with 0x2")
    d.box(40, 180, 170, "routing\nout of wan0")
    decides = "wan_egress\ntc, egress of wan0: policy asked once,\nverdict kept with the socket"
    d.box(40, 290, 250, decides, "ours")
    d.box(360, 290, 230, "lo_ingress\ntc: the SYN gets the listener\n(bpf_sk_assign)", "ours")
    d.box(360, 180, 230, "rule and local route\nfwmark 0x1: for this host")
    d.box(640, 180, 180, "lo_egress\ntc: a client bound to wan0\ngets it from there", "ours")
    d.box(640, 290, 180, "wan_ingress\ntc: for this host after all", "ours")
    d.arrow("125,104 125,180")
    d.arrow("125,224 125,290")
    d.arrow("290,320 360,320", "ours: mark,\nredirect", (325, 298))
    d.arrow("475,290 475,226")
    d.arrow("475,180 475,85 640,85", "its own address: 1.1.1.1:80", (550, 78))
    d.arrow("730,120 730,180", "reply", (750, 155), "back")
    d.arrow("640,205 615,205 615,150 150,150 150,104", "plain client: over lo, straight",
            (330, 144), "back")  # fmt: skip
    d.arrow("730,240 730,290", "", (0, 0), "back")
    d.arrow("820,320 835,320 835,40 180,40 180,60", "client bound to wan0", (520, 34), "back")
    d.arrow("165,350 165,420")
    d.text(178, 398, "not ours, or the proxy's own: goes its way", "small", anchor="start")
    d.box(80, 420, 170, "the internet")
    return d.svg()


def run() -> str:
    """The phases of a run."""
    d = Drawing("the phases of a run", 860, 420)
    d.box(20, 40, 120, "site.yaml")
    d.box(180, 40, 130, "Site\nchecked, every\nerror with its line")
    d.box(350, 40, 120, "desired\nevery kind says\nits part")
    d.box(350, 150, 120, "live\nread from\nthe kernel")
    d.box(180, 150, 130, "ledger\nwhat is ours, what\nwas there before")
    d.box(520, 90, 130, "plan\na pure difference", "ours")
    d.box(700, 90, 140, "--dry-run, --check\nstop here")
    d.arrow("140,60 180,60")
    d.arrow("310,60 350,60")
    d.arrow("470,70 520,100")
    d.arrow("470,175 520,125")
    d.arrow("310,180 350,180")
    d.arrow("650,110 700,110")
    d.frame(20, 235, 820, 130, "")
    d.text(120, 262, "one transaction, under the lock", "small", anchor="start")
    steps = ["build aside", "write intent", "change", "read again", "commit"]
    for number, words in enumerate(steps):
        x = 40 + number * 160
        d.box(x, 280, 120, words, "ours")
        if number:
            d.arrow(f"{x - 40},295 {x},295")
    d.arrow("585,134 585,215 100,215 100,280")
    d.arrow("440,310 440,326 240,326 240,310", "next", (340, 322))
    d.arrow("400,310 400,346 100,346 100,310", "", (0, 0), "fail")
    undone = "whatever fails, a signal too: each change inverted, last first, and read again"
    d.text(410, 350, undone, "small", anchor="start")
    after = "killed half-way: the next run finds the intents, and leads on or back"
    d.text(430, 395, after, "small")
    return d.svg()


DRAWINGS: dict[str, Callable[[], str]] = {"packet.svg": packet, "run.svg": run}


def main() -> None:
    """Write the drawings."""
    for name, draw in DRAWINGS.items():
        (HERE / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
