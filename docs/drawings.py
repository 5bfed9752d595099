"""Draw docs/packet.svg, docs/run.svg and docs/floors.svg: ``python docs/drawings.py``.

A test fails while a drawing differs from what this makes.
"""

from __future__ import annotations

import sys
import tomllib
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
    d = Drawing("the phases of a run", 860, 440)
    d.box(20, 40, 110, "site.yaml")
    d.box(160, 40, 150, "Site\nchecked, every\nerror with its line\nsite/load")
    d.box(345, 40, 140, "desired\nevery kind says\nits part\nkinds/*")
    d.box(345, 150, 140, "live\nread from\nthe kernel\nkinds/*")
    d.box(160, 150, 150, "ledger\nwhat is ours, what\nwas there before\nstate/ledger")
    d.box(525, 95, 140, "plan\na pure difference\nreconcile/diff", "ours")
    d.box(700, 95, 140, "--dry-run, --check\nstop here\noutput/plan")
    d.arrow("130,60 160,60")
    d.arrow("310,60 345,60")
    d.arrow("485,75 525,105")
    d.arrow("485,180 525,145")
    d.arrow("310,180 345,180")
    d.arrow("665,120 700,120")
    d.frame(20, 255, 820, 130, "")
    words = "reconcile/transaction: one transaction, under the lock"
    d.text(120, 282, words, "small", anchor="start")
    steps = ["build aside", "write intent", "change", "read again", "commit"]
    for number, words in enumerate(steps):
        x = 40 + number * 160
        d.box(x, 300, 120, words, "ours")
        if number:
            d.arrow(f"{x - 40},315 {x},315")
    d.arrow("595,155 595,235 100,235 100,300")
    d.arrow("440,330 440,346 240,346 240,330", "next", (340, 342))
    d.arrow("400,330 400,366 100,366 100,330", "", (0, 0), "fail")
    undone = "whatever fails, a signal too: each change inverted, last first, and read again"
    d.text(410, 370, undone, "small", anchor="start")
    after = "killed half-way: the next run finds the intents, and leads on or back"
    d.text(430, 415, after, "small")
    return d.svg()


def floors() -> str:
    """The folders of the package, as the import rules have them."""
    rules = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = rules["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["name"] == "from top to bottom")
    d = Drawing("the floors of the package", 620, 40 + len(layers) * 40)
    for number, layer in enumerate(layers):
        folders = layer.split(" : ")
        width = (500 - 20 * (len(folders) - 1)) // len(folders)
        for place, name in enumerate(folders):
            d.box(20 + place * (width + 20), 20 + number * 40, width, name)
    d.arrow(f"570,30 570,{20 + len(layers) * 40 - 20}")
    d.text(570, 20, "imports", "small")
    return d.svg()


DRAWINGS: dict[str, Callable[[], str]] = {
    "packet.svg": packet,
    "run.svg": run,
    "floors.svg": floors,
}


def main() -> None:
    """Write the drawings."""
    for name, draw in DRAWINGS.items():
        (HERE / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
