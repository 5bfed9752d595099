"""``python -m tests.faults``: the whole campaign, in slices.

python -m tests.faults --minutes 10 --log faults.jsonl               goes on where it stopped
python -m tests.faults --pairs 20 --log faults.jsonl                 with site files drawn by lot
python -m tests.faults --case first/bpf/error=ENOMEM/12/destroy      one of them, in words
python -m tests.faults --summary --log faults.jsonl                  what came of it so far
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults import campaign
from tests.faults.play import Result, case_of
from tests.faults.scenarios import SCENARIOS, scenario_of
from tests.faults.strace import CALLS, EFFECTS
from tests.faults.theatre import Theatre
from tests.lab import isolate
from tests.lab.effort import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.faults.play import Case


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, default=Path("faults.jsonl"))
    parser.add_argument("--scenario", action="append", help="these alone; pair-N is drawn by lot")
    parser.add_argument("--call", action="append", choices=CALLS)
    parser.add_argument("--effect", action="append", choices=EFFECTS)
    parser.add_argument("--pairs", type=int, default=0, metavar="N", help="pair-1 to pair-N alone")
    parser.add_argument("--each", type=int, help="this many cases of each scenario, no more")
    parser.add_argument("--case", action="append", default=[])
    parser.add_argument("--again", action="store_true", help="play those that had problems")
    parser.add_argument("--count", action="store_true", help="say how many there are")
    parser.add_argument("--summary", action="store_true")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    known = campaign.read(args.log)
    if args.summary:
        print(*campaign.summary(known.values()), sep="\n")
        return 0
    isolate.start_over()
    with Theatre() as theatre:
        if args.count:
            return _count(theatre, args)
        if args.case or args.again:
            names = args.case or [result.id for result in known.values() if result.problems]
            return _one_by_one(theatre, map(case_of, names))
        return _campaign(theatre, args, known)


def _chosen(theatre: Theatre, args: argparse.Namespace) -> Iterator[Case]:
    """Give the cases that are asked for, in their order."""
    pairs = [f"pair-{number}" for number in range(1, args.pairs + 1)]
    scenarios = [scenario_of(name).name for name in args.scenario or pairs or SCENARIOS]
    calls, effects = args.call or CALLS, args.effect or EFFECTS
    # A pair has a world of its own, which is dear: all of its cases come at once.
    turns = [[name] for name in scenarios] if args.each else [scenarios]
    for names in turns:
        some = (
            case
            for case in campaign.in_turn(theatre, names, args.seed)
            if case.fault.call in calls and case.fault.effect in effects
        )
        for number, case in enumerate(some):
            if args.each and number >= args.each:
                break
            yield case


def _count(theatre: Theatre, args: argparse.Namespace) -> int:
    total = 0
    for name in args.scenario or SCENARIOS:
        places = {call: len(places) for call, places in theatre.places(name).items()}
        total += sum(places.values()) * len(EFFECTS)
        print(f"{name}: {sum(places.values())} places: {places}", flush=True)
    print(f"{total} cases")
    return 0


def _campaign(theatre: Theatre, args: argparse.Namespace, known: dict[str, Result]) -> int:
    until, begun, number = time.monotonic() + 60 * args.minutes, cpu_seconds(), 0
    with args.log.open("a") as log:
        for case in _chosen(theatre, args):
            if case.id in known:
                continue
            if time.monotonic() > until:
                break
            known[case.id] = result = theatre.play(case)
            number += 1
            print(json.dumps(result.as_json()), file=log, flush=True)
            for problem in result.problems:
                print(f"--case {result.id}: exit {result.code}: {problem}", flush=True)
    print(*campaign.summary(known.values()), sep="\n")
    print(f"{(cpu_seconds() - begun) / max(number, 1):.2f} CPU seconds a case, {number} cases")
    return 1 if any(result.problems for result in known.values()) else 0


def _one_by_one(theatre: Theatre, cases: Iterable[Case]) -> int:
    bad = 0
    for case in cases:
        result = theatre.play(case)
        bad += bool(result.problems)
        print(f"{result.id}: exit {result.code}; hit: {result.hit or 'nothing'}")
        print(f"  said: {result.said}")
        print(*(f"  ! {problem}" for problem in result.problems), sep="\n", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
