"""Packages run over ssh: with programs in the place of ssh and scp, and with a real sshd on the loopback interface."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from host import remote
from host.errors import InputError, PackageError, RunError
from host.package import Package, load_package
from host.session import Session
from tests.host import fake
from tests.host.nodes import Nodes

SAFE = ["BatchMode=yes", "StrictHostKeyChecking=yes", "PasswordAuthentication=no", "ConnectTimeout=10"]

FAKE = """#!{python}
import json, os, shutil, subprocess, sys
name, rest = os.path.basename(sys.argv[0]), sys.argv[1:]
with open({log!r}, "a") as log:
    print(json.dumps([name, *rest]), file=log)
mark = rest.index("--")
if name == "ssh":
    host, *words = rest[mark + 1:]
    os.chdir({home!r})
    os.execv("/bin/sh", ["sh", "-c", " ".join(words)])
*sources, target = rest[mark + 1:]
for source in sources:
    to = os.path.join({home!r}, target.partition(":")[2], os.path.basename(source))
    (shutil.copytree if os.path.isdir(source) else shutil.copy2)(source, to)
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[list[str]]]:
    """Puts stand-ins of ssh and scp first on the PATH; what they were called with."""
    tools, home, log = tmp_path / "tools", tmp_path / "home", tmp_path / "log"
    tools.mkdir(), home.mkdir()
    for name in ("ssh", "scp"):
        (tools / name).write_text(FAKE.format(python=sys.executable, log=str(log), home=str(home)))
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return lambda: [json.loads(line) for line in log.read_text().splitlines()]


def assert_runs(package: Package, nodes: Nodes, host: str) -> None:
    frames, said = fake.frames(10), list[str]()
    with Session(package, on="ssh", remote=host, nodes=nodes.root, notify=said.append) as session:
        for frame, answer in zip(frames, session.run_all(frames), strict=True):
            for name, expected in fake.meaning(frame).items():
                np.testing.assert_array_equal(answer[name], expected, err_msg=name)
    assert said == []


def test_copied_once_and_run_there(spared_riscv: Package, tmp_path: Path, calls: Callable[[], list[list[str]]]) -> None:
    """The package's own path is hostile: nothing of it may reach a shell."""
    hostile = tmp_path / "p $(touch pwned) ;'\"x"
    shutil.copytree(spared_riscv.root, hostile)
    package = load_package(hostile)
    with Nodes(tmp_path / "root", package) as nodes:
        assert_runs(package, nodes, "me@board")
        assert_runs(package, nodes, "me@board")
    names = [call[0] for call in calls()]
    assert names.count("scp") == 1
    for name, *arguments in calls():
        options = arguments[: arguments.index("--")]
        assert [options[i + 1] for i, word in enumerate(options) if word == "-o"][:4] == SAFE
        assert name == "scp" or arguments[arguments.index("--") + 1] == "me@board"
        assert name == "scp" or str(hostile) not in " ".join(arguments)
    assert not list(tmp_path.rglob("pwned"))
    copied = tmp_path / "home/.cache/hetero-compile" / package.seal.hash
    assert load_package(copied).seal == package.seal
    assert [entry.name for entry in copied.parent.iterdir()] == [package.seal.hash]


def test_only_what_is_sealed_is_copied(
    spared_riscv: Package, tmp_path: Path, calls: Callable[[], list[list[str]]]
) -> None:
    """scp would follow links; loading does not look at files that the package does not name."""
    shutil.copytree(spared_riscv.root, tmp_path / "p")
    (tmp_path / "p/stray").write_text("not the package's")
    package = load_package(tmp_path / "p")
    with Nodes(tmp_path / "root", package) as nodes:
        assert_runs(package, nodes, "board")
    copied = tmp_path / "home/.cache/hetero-compile" / package.seal.hash
    assert load_package(copied).seal == package.seal and not (copied / "stray").exists()
    shutil.rmtree(copied)
    (tmp_path / "p/runtime/keys").symlink_to(Path.home())
    with pytest.raises(PackageError, match="runtime/keys: is a symbolic link; a package has none"):
        Session(load_package(tmp_path / "p"), on="ssh", remote="board")
    assert not copied.exists()


def test_an_interrupted_copy_leaves_no_package(
    spared_riscv: Package, tmp_path: Path, calls: Callable[[], list[list[str]]]
) -> None:
    (tmp_path / "tools/scp").write_text("#!/bin/sh\necho 'lost connection' >&2\nexit 1\n")
    with pytest.raises(RunError, match="board: lost connection"):
        Session(spared_riscv, on="ssh", remote="board")
    assert not (tmp_path / "home/.cache/hetero-compile" / spared_riscv.seal.hash).exists()


@pytest.mark.parametrize("host", ["-oProxyCommand=touch pwned", "a b", "a;b", "$(x)", "", "a@b@c", "a\nb", "@host"])
def test_hosts_that_are_none(spared_riscv: Package, host: str) -> None:
    with pytest.raises(InputError, match=r"is no \[USER@\]HOST"):
        Session(spared_riscv, on="ssh", remote=host)


@pytest.mark.parametrize("nodes", ["relative", "/a b", "/$(x)", "/a;b"])
def test_folders_that_a_shell_would_read(spared_riscv: Package, nodes: str) -> None:
    with pytest.raises(InputError, match="must be a plain absolute path"):
        Session(spared_riscv, on="ssh", remote="board", nodes=Path(nodes))


def test_refusals_silence_and_other_drivers(
    spared_riscv: Package, package: Package, tmp_path: Path, calls: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "tools/ssh"
    program.write_text("#!/bin/sh\necho 'me@board: Permission denied (publickey).' >&2\nexit 255\n")
    with pytest.raises(RunError, match=r"board: me@board: Permission denied \(publickey\)\."):
        Session(spared_riscv, on="ssh", remote="board")
    program.write_text("#!/bin/sh\necho sparc64\n")
    with pytest.raises(Exception, match="has no standalone program for sparc64"):
        Session(spared_riscv, on="ssh", remote="board")
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(remote, "ASK_SECONDS", 0.2)
    with pytest.raises(RunError, match=r"board: no answer within 0\.2 s"):
        Session(spared_riscv, on="ssh", remote="board")
    with pytest.raises(RunError, match="--on ssh drives uio devices; board 'fake' has driver none"):
        Session(package, on="ssh", remote="board")


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A server on the loopback interface whose sessions begin in a folder of the test; `board` is its name."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    sftp = Path("/usr/lib/openssh/sftp-server")
    if program is None or not sftp.exists() or not shutil.which("ssh-keygen"):
        pytest.skip("no sshd is installed (Debian: openssh-server)")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir(), tools.mkdir()
    for key in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / key], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    enter = tmp_path / "enter"
    enter.write_text(f'#!/bin/sh\ncd {home} && exec sh -c "$SSH_ORIGINAL_COMMAND"\n')
    enter.chmod(0o755)
    (tmp_path / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {tmp_path / 'host'}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path / 'user.pub'}\nPasswordAuthentication no\nForceCommand {enter}\n"
        f"Subsystem sftp {sftp}\nPermitRootLogin prohibit-password\n"
    )
    known = (tmp_path / "host.pub").read_text().split()[:2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {' '.join(known)}\n")
    (tmp_path / "ssh_config").write_text(
        f"Host board\nHostName 127.0.0.1\nPort {port}\nUser {getpass.getuser()}\nIdentityFile {tmp_path / 'user'}\n"
        f"IdentitiesOnly yes\nUserKnownHostsFile {tmp_path / 'known'}\nGlobalKnownHostsFile /dev/null\n"
    )
    for name in ("ssh", "scp"):
        (tools / name).write_text(f'#!/bin/sh\nexec {shutil.which(name)} -F {tmp_path / "ssh_config"} "$@"\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with (tmp_path / "sshd.log").open("wb") as log:
        server = subprocess.Popen([program, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=log)
        end = time.monotonic() + 30
        while True:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if server.poll() is not None or time.monotonic() > end:
                pytest.skip(f"sshd does not start here: {(tmp_path / 'sshd.log').read_text().strip()}")
            time.sleep(0.02)
        yield tmp_path
        server.kill()
        server.wait()


def test_a_real_server(spared_riscv: Package, sshd: Path) -> None:
    with Nodes(sshd / "root", spared_riscv) as nodes:
        assert_runs(spared_riscv, nodes, "board")
        assert_runs(spared_riscv, nodes, "board")
    copied = sshd / "home/.cache/hetero-compile" / spared_riscv.seal.hash
    assert load_package(copied).seal == spared_riscv.seal


def test_an_unknown_server_is_refused(spared_riscv: Package, sshd: Path) -> None:
    (sshd / "known").write_text("")
    with pytest.raises(RunError, match="board: Host key verification failed"):
        Session(spared_riscv, on="ssh", remote="board")
