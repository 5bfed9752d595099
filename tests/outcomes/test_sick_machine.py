"""A machine that is short of something: said in one line, never a traceback, nothing half done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab import diff_snapshots
from tests.paths import ROOT

if TYPE_CHECKING:
    from tests.lab.host import Host

pytestmark = [pytest.mark.lab, pytest.mark.bpf]
NO_TMP = "for d in /tmp /var/tmp; do mount --bind $d $d; mount -o remount,bind,ro $d || exit; done"
SHORTAGES = {
    "32 descriptors": 'ulimit -n 32; exec "$@"',
    "200 MB of address space": 'ulimit -v 200000; exec "$@"',
    "60 MB of address space": 'ulimit -v 60000; exec "$@"',
    "no place for temporary files": f'{NO_TMP}; cd /proc; exec "$@"',
    "no more processes": "exec strace -qq -o /dev/null -f "
    '-e inject=clone,clone3,fork,vfork:error=EAGAIN "$@"',
}


def sick(host: Host, shortage: str, *arguments: str) -> tuple[int, str]:
    """Run on such a machine; give exit code and standard error."""
    words = ["unshare", "--mount", "env", f"PYTHONPATH={ROOT}", "sh", "-c", SHORTAGES[shortage]]
    words += ["sh", *host.popen_words(*arguments)]
    done = host.namespace.run(words, check=False, timeout=120, cwd=ROOT)
    return done.returncode, done.stderr


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_an_apply_is_whole_or_nothing_and_says_which(host: Host, shortage: str) -> None:
    before = host.look()
    code, err = sick(host, shortage, str(host.site), "--confirm", "600", "--detach")
    assert "Traceback" not in err, err
    unchanged = diff_snapshots(before, host.look()) == []
    assert unchanged == (code != 0), (code, err)
    assert code in {0, 1, 3}, (code, err)
    assert code == 0 or err.startswith("tproxy-apply: "), err
    if code == 0:
        assert host.run("--rollback").code == 0
    assert diff_snapshots(before, host.look()) == []


@pytest.mark.parametrize("shortage", SHORTAGES)
def test_a_destroy_is_whole_or_nothing_and_says_which(host: Host, shortage: str) -> None:
    before = host.look()
    host.applied()
    applied = host.look()
    code, err = sick(host, shortage, "--destroy")
    assert "Traceback" not in err, err
    expected = before if code == 0 else applied
    assert diff_snapshots(expected, host.look()) == [], (code, err)
    assert host.run("--destroy").code == 0
    assert diff_snapshots(before, host.look()) == []


@pytest.mark.parametrize("path", ["/proc/kmsg", "/dev/zero", "/proc/self/mem", "/"])
def test_a_site_file_that_is_none_is_refused(host: Host, path: str) -> None:
    done = host.spawn(path)
    assert done.code == 65
    assert "Traceback" not in done.err
    assert len(done.err) < 400


@pytest.mark.parametrize(
    "module", ["cli/main", "cli/usage", "commands/table", "commands/apply", "kinds/rule"]
)
@pytest.mark.parametrize("refusal", ["EIO", "ENOMEM", "EMFILE"])
def test_a_module_that_cannot_be_read_is_no_traceback(
    host: Host, module: str, refusal: str
) -> None:
    before = host.look()
    paths = [
        f"--trace-path={path}"
        for path in (ROOT / "netplan_tproxy" / module).parent.rglob(f"*{Path(module).name}*.py*")
    ]
    inject = ["strace", "-qq", "-o", "/dev/null", "-f", *paths, f"-einject=openat:error={refusal}"]
    words = [*inject, *host.popen_words(str(host.site))]
    done = host.namespace.run(words, check=False, cwd=ROOT)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("tproxy-apply: ")
    assert "everything is as it was before" in done.stderr
    assert diff_snapshots(before, host.look()) == []
