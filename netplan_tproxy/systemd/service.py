"""`tproxy-apply --install-service`: the unit that applies the site file at boot.

The first line of each file has a digest of the rest. A file whose digest is right is ours to
replace; any other was written or changed by somebody else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from netplan_tproxy.errors import ConflictError, TproxyError
from netplan_tproxy.system.files import make_directories, write_new_file
from netplan_tproxy.system.owned import hazard_above
from netplan_tproxy.system.programs import find
from netplan_tproxy.system.text import shown

UNIT = "tproxy-apply.service"
UNIT_PATH = f"etc/systemd/system/{UNIT}"
NETWORKD_PATH = "etc/systemd/networkd.conf.d/60-netplan-tproxy.conf"
_DATA = Path(__file__).parent / "data"
_SIGN = re.compile(r"# Written by tproxy-apply --install-service, sha256 ([0-9a-f]{64})\n")
ADD, CHANGE, KEEP = "add", "change", "keep"
_SIGNS = {ADD: "+", CHANGE: "~", KEEP: "="}


@dataclass(frozen=True)
class File:
    """A file; ``action`` is add (written), change (replaced) or keep (already right).

    ``kept_as``: the path at which a file that was not ours is kept.
    """

    path: str
    action: str
    kept_as: str = ""


@dataclass(frozen=True)
class Installed:
    """The files, and the commands to run next (``following``)."""

    files: tuple[File, ...]
    following: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the body of the JSON document."""
        files = [{**asdict(file), "kept_as": file.kept_as or None} for file in self.files]
        return {"files": files, "next": list(self.following)}


def lines(done: Installed) -> list[str]:
    """Return the lines for people. Pure."""
    shown = []
    for file in done.files:
        kept = f" (what was there is kept as {file.kept_as})" if file.kept_as else ""
        shown.append(f"{_SIGNS[file.action]} {file.path}{kept}")
    return [*shown, *("now run: " + command for command in done.following)]


def install(root: str = "/", site: str = "", *, adopt: bool = False) -> Installed:
    """Write the unit and the drop-in below ``root``, both or neither.

    ``site`` is the site file that the unit applies ("": the default one). Raises
    ConflictError for a file of others, unless ``adopt``; TproxyError if it can't be written.
    """
    unfit = [word for word in (*command(), site) if not word.isprintable()]
    if unfit:
        message = (
            f"{shown(unfit[0])}: a path in a unit can't hold such characters; nothing was touched"
        )
        raise TproxyError(message)
    hazard = hazard_above(Path(root) / UNIT_PATH)
    if hazard:
        message = f"{hazard}; nothing was touched"
        raise TproxyError(message)
    texts = {Path(root) / name: text for name, text in contents(command(), site).items()}
    files = [_judged(path, text) for path, text in texts.items()]
    foreign = [file.path for file in files if file.kept_as and not adopt]
    if foreign:
        advice = "--adopt replaces it and keeps it beside"
        raise ConflictError(
            [f"{path}: is not as we wrote it; {advice}; nothing was touched" for path in foreign]
        )
    changed = [file for file in files if file.action != KEEP]
    _write({file: texts[Path(file.path)] for file in changed})
    return Installed(tuple(files), _following(root, changed))


def contents(words: Sequence[str], site: str = "") -> dict[str, str]:
    """Return the text of each file, signed; ``words`` run the tool. Pure."""
    given = " " + quoted(os.path.abspath(site)) if site else ""  # noqa: PTH100 - links stay
    unit = (_DATA / UNIT).read_text(encoding="utf-8")
    unit = unit.replace("@COMMAND@", " ".join(map(quoted, words))).replace("@SITE@", given)
    dropin = (_DATA / Path(NETWORKD_PATH).name).read_text(encoding="utf-8")
    return {UNIT_PATH: signed(unit), NETWORKD_PATH: signed(dropin)}


def signed(text: str) -> str:
    """Return the text with the line in front that signs it."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"# Written by tproxy-apply --install-service, sha256 {digest}\n{text}"


def is_ours(text: str) -> bool:
    """Whether this tool wrote it and nobody changed it since."""
    first = _SIGN.match(text)
    return first is not None and signed(text[first.end() :]) == text


def quoted(word: str) -> str:
    """Quote a word for a command line of systemd.service(5)."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    escaped = escaped.replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@%$/.:=+,-]+", escaped, re.ASCII) else f'"{escaped}"'


def command() -> list[str]:
    """Return the command line that runs this tool: its script if there is one, else the module."""
    begun = Path(sys.argv[0])
    if begun.name == "tproxy-apply" and begun.exists():
        return [str(begun.absolute())]
    beside = Path(sys.executable).with_name("tproxy-apply")
    if beside.exists():
        return [str(beside)]
    installed = find("tproxy-apply")
    return [installed] if installed else [sys.executable, "-m", "netplan_tproxy"]


def _judged(path: Path, text: str) -> File:
    foreign = File(str(path), CHANGE, str(_free(path)))
    try:
        there = path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        # A dangling link is not ours either.
        return foreign if path.is_symlink() else File(str(path), ADD)
    except OSError as refusal:
        message = f"{path}: {refusal.strerror}; nothing was touched"
        raise TproxyError(message) from refusal
    if path.is_symlink() or not is_ours(there):
        return foreign
    return File(str(path), KEEP if there == text else CHANGE)


def _free(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.before{number}") for number in ("", *range(2, 1000)))
    return next(name for name in names if not os.path.lexists(name))


def _write(files: Mapping[File, str]) -> None:
    """Write temporary files, then rename each; a failure before the first rename leaves nothing."""
    asides: dict[str, Path] = {}
    try:
        for file, text in files.items():
            path = Path(file.path)
            make_directories(path.parent, 0o755)
            aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            asides[file.path] = aside
            write_new_file(aside, text, 0o644)
        for file in files:
            if file.kept_as:
                # A hard link: the path never disappears, and nothing has to be put back.
                os.link(file.path, file.kept_as, follow_symlinks=False)
            asides.pop(file.path).rename(file.path)
    except OSError as refusal:
        message = f"{refusal.filename or 'install'}: {refusal.strerror}; no unit was enabled"
        raise TproxyError(message) from refusal
    finally:
        for aside in asides.values():
            with contextlib.suppress(OSError):
                aside.unlink()


def _following(root: str, changed: Sequence[File]) -> tuple[str, ...]:
    if Path(root).resolve() != Path("/"):
        return (f"systemctl --root={root} enable {UNIT}",)
    commands = []
    if changed:
        commands.append("systemctl daemon-reload")
    if any(file.path.endswith(Path(NETWORKD_PATH).name) for file in changed):
        commands.append("systemctl try-restart systemd-networkd.service")
    return (*commands, f"systemctl enable --now {UNIT}")
