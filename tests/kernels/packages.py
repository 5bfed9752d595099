"""Kernels of Debian's suites, and a root for a machine that this one is not."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyroute2

from tests.kernels import apt
from tests.kernels.apt import Apt, UnavailableError

_DRIVERS = {"bonding", "ipvlan", "net", "team", "virtio", "vxlan", "wireguard"}
_ROOT = (
    "?essential", "busybox-static", "curl", "iproute2", "kmod", "linux-libc-dev", "mount",
    "netbase", "nftables", "procps", "python3", "python3-bpfcc", "python3-jsonschema",
    "python3-yaml", "tcpdump",
)  # fmt: skip
_COMMAND = (
    "#!/usr/bin/python3\nfrom netplan_tproxy.{} import {} as run\n\nraise SystemExit(run())\n"
)


@dataclass(frozen=True)
class Kernel:
    """A kernel of a suite: of those whose version begins with ``series`` the newest."""

    series: str
    suite: str
    machine: str = "amd64"

    @property
    def name(self) -> str:
        return self.series if self.machine == "amd64" else f"{self.series}-{self.machine}"


@dataclass(frozen=True)
class Unpacked:
    """A kernel that is ready to boot, on a root."""

    kernel: Kernel
    folder: Path
    root: Path

    @property
    def version(self) -> str:
        """What uname -r says in it."""
        return (self.folder / "version").read_text().strip()

    @property
    def image(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def modules(self) -> Path:
        return self.folder / "lib" / "modules" / self.version


def obtain(kernel: Kernel) -> Unpacked:
    """Take a kernel from the cache, or else from its suite. Raises UnavailableError."""

    def fill(aside: Path, ready: Path) -> None:
        _kernel(kernel, Apt(aside / "apt", kernel.suite, kernel.machine), ready)

    folder = apt.obtain(kernel.name, fill)
    if kernel.machine == "amd64":
        return Unpacked(kernel, folder, Path("/"))

    def fill_root(aside: Path, ready: Path) -> None:
        _root(Apt(aside / "apt", kernel.suite, kernel.machine), ready)

    return Unpacked(kernel, folder, apt.obtain(f"root-{kernel.machine}", fill_root))


def kept(kernel: Kernel) -> Unpacked:
    """Take one of this machine's kind from the cache. Raises UnavailableError."""
    return Unpacked(kernel, apt.kept(kernel.name), Path("/"))


def _kernel(kernel: Kernel, suite: Apt, ready: Path) -> None:
    image = _newest(kernel, suite)
    # Since Linux 6.19 the image is a metapackage of linux-binary and linux-modules.
    parts = re.findall(r"Depends: (linux-(?:binary|modules)-\S+)", suite.depends(image))
    tree = suite.unpacked(image, *parts)
    (modules,) = (path.parent for path in tree.glob("**/lib/modules/*/kernel"))
    (ready / "lib" / "modules").mkdir(parents=True)
    version = modules.name
    images = [path for path in tree.glob("**/vmlinuz*") if path.is_file()]
    images[0].rename(ready / "vmlinuz")
    modules.rename(ready / "lib" / "modules" / version)
    _thin_out(ready / "lib" / "modules" / version / "kernel")
    apt.run(["depmod", "-b", str(ready), version])
    (ready / "version").write_text(f"{version}\n")


def _newest(kernel: Kernel, suite: Apt) -> str:
    names = suite.named(f"^linux-image-{re.escape(kernel.series)}[.-][^ ]*{kernel.machine}$")
    plain = [name for name in names if not re.search(r"-(rt|cloud)-", name)]
    if not plain:
        raise UnavailableError(f"{kernel.suite} has no Linux {kernel.series}")
    return max(plain, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])


def _thin_out(modules: Path) -> None:
    """Remove drivers of hardware that no guest has: nine tenths of what there is."""
    drivers = modules / "drivers"
    for folder in [modules / "sound", *drivers.iterdir(), *(drivers / "net").iterdir()]:
        if folder.is_dir() and folder.name not in _DRIVERS:
            shutil.rmtree(folder)


def _root(suite: Apt, ready: Path) -> None:
    """Unpack what the demo takes: no package's scripts run, which would need the machine."""
    tree = suite.folder / "tree"
    for name in ("bin", "sbin", "lib"):  # as usrmerge has it
        (tree / "usr" / name).mkdir(parents=True, exist_ok=True)
        (tree / name).symlink_to(f"usr/{name}")
    suite.unpacked(*_ROOT, closed=True)
    for name in ("passwd", "group"):
        shutil.copy(tree / "usr/share/base-passwd" / f"{name}.master", tree / "etc" / name)
    (tree / "usr/bin/sh").unlink(missing_ok=True)
    (tree / "usr/bin/sh").symlink_to("dash")
    # Debian 12's pyroute2 is older than ours.
    library = tree / "usr/lib/python3/dist-packages"
    shutil.copytree(Path(pyroute2.__file__).parent, library / "pyroute2")
    for name, module, function in (
        ("tproxy-apply", "cli.entry", "run"), ("tproxy-relay", "relay.cli", "main"),
    ):  # fmt: skip
        script = tree / "usr/bin" / name
        script.write_text(_COMMAND.format(module, function))
        script.chmod(0o755)
    for path in tree.iterdir():
        path.rename(ready / path.name)
