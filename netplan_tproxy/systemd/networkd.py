"""Whether systemd-networkd runs here and removes what it did not make.

On restart it removes rules and routes that others made, unless two settings of
networkd.conf(5) say no.
"""

from __future__ import annotations

import configparser
import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

SETTINGS = ("ManageForeignRoutingPolicyRules", "ManageForeignRoutes")
_NO = frozenset({"no", "false", "0", "off", "n", "f"})
_DIRECTORIES = ("usr/local/lib", "usr/lib", "run", "etc")


def removes_foreign(root: Path = Path("/")) -> tuple[str, ...]:
    """Return the settings that would let a networkd that runs here remove what is ours.

    Empty if none runs. It runs in the first network namespace only.
    """
    running = (root / "run/systemd/netif/state").exists()
    if not running or not _in_its_namespace(root):
        return ()
    return missing(path.read_text(encoding="utf-8", errors="replace") for path in _files(root))


def missing(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the settings that are not "no" after these files; later files win. Pure."""
    values: dict[str, str] = {}
    for text in texts:
        parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
        with contextlib.suppress(configparser.Error):
            parser.read_string(text)
            if parser.has_section("Network"):
                values.update({name: value or "" for name, value in parser.items("Network")})
    return tuple(name for name in SETTINGS if values.get(name.lower(), "yes").lower() not in _NO)


def _in_its_namespace(root: Path) -> bool:
    with contextlib.suppress(OSError):
        ours, first = (root / "proc" / pid / "ns/net" for pid in ("self", "1"))
        return ours.stat().st_ino == first.stat().st_ino
    return True


def _files(root: Path) -> Iterator[Path]:
    """Yield the main file, then the drop-ins by name; of equal names the last directory's."""
    directories = [root / name / "systemd" for name in _DIRECTORIES]
    mains = [path for directory in directories if (path := directory / "networkd.conf").is_file()]
    yield from mains[-1:]
    dropins: dict[str, Path] = {}
    for directory in directories:
        paths = sorted((directory / "networkd.conf.d").glob("*.conf"))
        dropins.update({path.name: path for path in paths})
    for name in sorted(dropins):
        yield dropins[name]
