"""``python -m tests.faults``: the whole campaign, in slices.

python -m tests.faults --minutes 10 --log faults.jsonl              goes on where it stopped
python -m tests.faults --shard 1/4 --log faults.jsonl               a quarter of the cases
python -m tests.faults --case first/bpf/error=ENOMEM/12/destroy     one of them, in words
python -m tests.faults --summary --log faults.jsonl                 what came of it so far
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from pathlib import Path

from tests.faults import campaign
from tests.faults.play import Result, case_of
from tests.faults.scenarios import SCENARIOS
from tests.faults.strace import CALLS
from tests.lab import isolate


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--shard", default="0/1", metavar="N/OF")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--log", type=Path, default=Path("faults.jsonl"))
    parser.add_argument("--scenario", action="append", choices=SCENARIOS)
    parser.add_argument("--call", action="append", choices=CALLS)
    parser.add_argument("--case", action="append", default=[])
    parser.add_argument("--again", action="store_true", help="play those that had problems")
    parser.add_argument("--summary", action="store_true")
    return parser.parse_args()


def main() -> int:
    args = arguments()
    known = campaign.read(args.log)
    if args.summary:
        print(*campaign.summary(known.values(), len(known)), sep="\n")
        return 0
    isolate.start_over()
    theatre = campaign.Theatre()
    until = time.monotonic() + 60 * args.minutes
    if args.case or args.again:
        names = args.case or [result.id for result in known.values() if result.problems]
        return _one_by_one(theatre, names, until)
    cases = campaign.all_cases(theatre, args.scenario or SCENARIOS, args.seed)
    if args.call:
        cases = [case for case in cases if case.fault.name in args.call]
    number, of = map(int, args.shard.split("/"))
    mine = list(itertools.islice(cases, number, None, of))
    left = [case for case in mine if case.id not in known]
    with args.log.open("a") as log:

        def tell(result: Result) -> None:
            known[result.id] = result
            print(json.dumps(result.as_json()), file=log, flush=True)
            for problem in result.problems:
                print(f"{result.id}: {problem}", flush=True)

        campaign.run(theatre, left, until, tell)
    theatre.close()
    done = [known[case.id] for case in mine if case.id in known]
    print(*campaign.summary(done, len(mine)), sep="\n")
    return 1 if any(result.problems for result in done) else 0


def _one_by_one(theatre: campaign.Theatre, names: list[str], until: float) -> int:
    bad = 0

    def tell(result: Result) -> None:
        nonlocal bad
        bad += bool(result.problems)
        print(f"{result.id}: exit {result.code}; hit: {result.hit or 'nothing'}")
        print(f"  said: {result.said}")
        print(*(f"  ! {problem}" for problem in result.problems), sep="\n", flush=True)

    campaign.run(theatre, map(case_of, names), until, tell)
    theatre.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
