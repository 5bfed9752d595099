"""A command on another kernel: qemu, without KVM and without a disk image.

The guest's root is this machine's own, or one made for another kind of machine, read-only by 9p
under a layer in memory: what the command writes is gone with the guest, but for what it puts into
``/dev/job``, a folder of its own. This checkout has the same place in it.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.kernels.packages import Unpacked

_HERE = Path(__file__).parent
_NEEDED = ("virtio_pci", "9pnet_virtio", "9p", "overlay")
"""Modules that it takes to mount the root."""
_QEMU = {
    # Nehalem costs the emulator less than a newer CPU would.
    "amd64": "qemu-system-x86_64 -cpu Nehalem",
    "arm64": "qemu-system-aarch64 -machine virt -cpu cortex-a57",
}
_BOUND = "setpriv --pdeathsig KILL --"
"""It ends with whoever started it."""
_PLAIN = (
    "-accel tcg,thread=multi -nodefaults -no-reboot -display none -serial stdio -monitor none"
    " -net none"
)
_OPTIONS = "quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on console="
_CONSOLES = {"amd64": "ttyS0", "arm64": "ttyAMA0"}


@dataclass(frozen=True)
class Size:
    """What a guest has: CPUs and MiB of memory."""

    cpus: int = 2
    memory: int = 2048


@dataclass(frozen=True)
class Ended:
    """How a guest ended: the job's exit code, or None if it came to no end; what it printed."""

    code: int | None
    console: str


def run(
    kernel: Unpacked, job: str, folder: Path, seconds: float, size: Size | None = None
) -> Ended:
    """Run a job, lines of a shell, as root on that kernel.

    The guest sees the folder as /dev/job. It has had its time after so many seconds.
    """
    size = size or Size()
    machine = kernel.kernel.machine
    shutil.copy(_HERE / "guest.sh", folder)
    (folder / "job.sh").write_text(f"{job}\n")
    (folder / "checkout").write_text(f"{ROOT}\n")
    (folder / "code").unlink(missing_ok=True)
    initrd = _initrd(kernel, folder / "initrd")
    words = [*_BOUND.split(), *_QEMU[machine].split(), *_PLAIN.split()]
    words += ["-smp", str(size.cpus), "-m", str(size.memory), "-kernel", str(kernel.image)]
    words += ["-initrd", str(initrd), "-append", f"{_OPTIONS}{_CONSOLES[machine]}"]
    shared = {"root": kernel.root, "modules": kernel.modules, "checkout": ROOT}
    for tag, path in shared.items():
        words += ["-virtfs", f"{_share(tag, path)},readonly=on"]
    words += ["-virtfs", _share("job", folder)]
    console = folder / "console"
    with console.open("wb") as out:
        try:
            subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                timeout=seconds, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            out.write(f"\nguest: ended from outside after {seconds:.0f} s\n".encode())
    code = folder / "code"
    text = re.sub(r"\r+\n", "\n", console.read_text(errors="replace"))
    return Ended(int(code.read_text()) if code.exists() else None, text)


def _share(tag: str, path: Path) -> str:
    return f"local,path={path},mount_tag={tag},security_model=none,multidevs=remap"


def _initrd(kernel: Unpacked, place: Path) -> Path:
    tree = place.with_name("initrd.tree")
    for name in ("bin", "modules", "proc", "dev", "root", "layer", "new"):
        (tree / name).mkdir(parents=True)
    shutil.copy(kernel.root / "bin" / "busybox", tree / "bin")
    (tree / "bin" / "sh").symlink_to("busybox")
    shutil.copy(_HERE / "init.sh", tree / "init")
    (tree / "init").chmod(0o755)
    for number, path in enumerate(_in_order(kernel)):
        data = path.read_bytes()
        content = lzma.decompress(data) if path.suffix == ".xz" else data
        (tree / "modules" / f"{number:02}-{path.name.partition('.')[0]}").write_bytes(content)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    packed = subprocess.run(
        ["busybox", "cpio", "-o", "-H", "newc"], cwd=tree, input=names.encode(),
        capture_output=True, check=True,
    )  # fmt: skip
    place.write_bytes(packed.stdout)
    shutil.rmtree(tree)
    return place


def _in_order(kernel: Unpacked) -> list[Path]:
    """The files of the modules needed, each after those that it needs; not what is built in."""
    lines = (kernel.modules / "modules.dep").read_text().splitlines()
    needs = {line.partition(":")[0]: line.partition(":")[2].split() for line in lines}
    named = {os.path.basename(path).partition(".")[0]: path for path in needs}  # noqa: PTH119
    # modules.dep lists what a module needs with what those need, the first to be loaded last.
    chosen = [named[name] for name in _NEEDED if name in named]
    order = [one for path in chosen for one in (*reversed(needs[path]), path)]
    return [kernel.modules / path for path in dict.fromkeys(order)]
