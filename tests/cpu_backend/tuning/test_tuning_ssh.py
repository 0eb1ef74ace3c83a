"""Measuring over ssh: a real sshd on this machine with an emulator in the board's place, and an ssh that misbehaves."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tuning_layers import signature

from cpu_backend import toolchain
from cpu_backend.tuning.measure import build_program
from cpu_backend.tuning.ssh import TIMES, Address, BoardAccessError, Connection, OnBoard, board_folder
from cpu_backend.variants import USUAL, Variant

SSHD_TRIES = 50


@dataclass(frozen=True)
class Server:
    """A running sshd for this user and one key; ``folder`` has its ssh_config."""

    folder: Path
    port: int

    @property
    def connection(self) -> Connection:
        return Connection(Address("127.0.0.1", getpass.getuser(), self.port), self.folder / "config", 60.0)

    def configured(self, name: str, known_hosts: Path, identity: Path) -> Connection:
        """The same connection with other files."""
        path = self.folder / name
        path.write_text(config(known_hosts, identity))
        return replace(self.connection, configuration=path)


def config(known_hosts: Path, identity: Path) -> str:
    return (
        f"Host *\n  IdentityFile {identity}\n  IdentitiesOnly yes\n  UserKnownHostsFile {known_hosts}\n"
        "  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking no\n  BatchMode no\n"  # the last two are overruled
    )


def key(path: Path) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=60)
    return path.with_suffix(".pub").read_text()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    daemon = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/sbin")
    if daemon is None or shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("no sshd (Debian and Ubuntu: apt-get install openssh-server)")
    folder = tmp_path_factory.mktemp("sshd")
    host, mine = key(folder / "host"), key(folder / "mine")
    key(folder / "stranger")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "authorized").write_text(mine)
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host}")
    (folder / "config").write_text(config(folder / "known", folder / "mine"))
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"StrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication yes\nPermitRootLogin yes\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where a daemon of root puts its processes aside
    with (folder / "log").open("w") as log:
        running = subprocess.Popen([daemon, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
        try:
            for _ in range(SSHD_TRIES):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                if running.poll() is not None:
                    pytest.skip(f"sshd does not start here: {(folder / 'log').read_text().strip()[-200:]}")
                time.sleep(0.1)
            yield Server(folder, port)
        finally:
            running.terminate()
            running.wait(10)


def launcher(vlen: int) -> tuple[str, ...]:
    """The emulator, as words before the program on the board."""
    processor = toolchain.VECTOR.processor
    assert processor
    return (str(toolchain.emulator()), "-cpu", processor.format(vlen=vlen))


@pytest.mark.slow
def test_measures_over_ssh(riscv_tools: None, server: Server, tmp_path: Path) -> None:
    """Copies, runs, reads the program's JSON, removes what it left."""
    program = build_program(tmp_path)
    with board_folder(server.connection, program) as folder:
        board = OnBoard(server.connection, folder, tmp_path, 1600.0, launcher(256))
        results = [board.measure(signature(), variant) for variant in (USUAL, Variant("blocks", 16, 8, 8))]
        assert Path(folder).is_dir()
    assert not Path(folder).exists()
    for found in results:
        assert found.clock in ("rdcycle", "clock_gettime") and found.cycles > 0
        samples = sorted(found.detail["samples"])
        assert len(samples) == TIMES and samples[0] > 0
        if found.clock == "rdcycle":
            assert found.cycles == samples[TIMES // 2]


def test_a_failing_program_is_named(server: Server, tmp_path: Path) -> None:
    """A program that is none: the folder is removed nevertheless."""
    (tmp_path / "tune").write_text("#!/bin/sh\necho out of luck >&2\nexit 3\n")
    with (
        pytest.raises(BoardAccessError, match=r"127\.0\.0\.1: out of luck$"),
        board_folder(server.connection, tmp_path / "tune") as folder,
    ):
        OnBoard(server.connection, folder, tmp_path, 1600.0).measure(signature(), USUAL)
    assert not Path(folder).exists()


def test_an_unknown_host_key_is_refused(server: Server) -> None:
    """Whatever the user's configuration says; and nothing is added to the known hosts."""
    empty = server.folder / "empty"
    empty.write_text("")
    with pytest.raises(BoardAccessError, match="Host key verification failed"):
        server.configured("unknown", empty, server.folder / "mine").run("true")
    assert empty.read_text() == ""


def test_a_changed_host_key_is_refused(server: Server) -> None:
    other = server.folder / "other"
    other.write_text(f"[127.0.0.1]:{server.port} {(server.folder / 'stranger.pub').read_text()}")
    with pytest.raises(BoardAccessError, match="Host key verification failed"):
        server.configured("changed", other, server.folder / "mine").run("true")


def test_keys_only(server: Server) -> None:
    """A key that is not authorised ends it, though the server offers passwords: nobody is asked."""
    with pytest.raises(BoardAccessError, match="Permission denied"):
        server.configured("stranger-config", server.folder / "known", server.folder / "stranger").run("true")


def test_a_command_that_hangs(server: Server) -> None:
    start = time.monotonic()
    with pytest.raises(BoardAccessError, match="no answer within 2 s"):
        replace(server.connection, deadline=2.0).run("sleep 60")
    assert time.monotonic() - start < 30


def test_a_host_that_says_nothing(tmp_path: Path) -> None:
    """It takes the connection and never speaks."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(1)
        connection = Connection(Address("127.0.0.1", None, silent.getsockname()[1]), deadline=2.0)
        with pytest.raises(BoardAccessError, match=r"no answer within 2 s|time"):
            connection.run("true")


FAKE = '#!/bin/sh\nprintf "%s\\n" "$@" > "$0.words"\n{}\n'


def fake(folder: Path, monkeypatch: pytest.MonkeyPatch, does: str) -> Path:
    """An ssh before the real one; its words end up in a file."""
    folder.mkdir()
    program = folder / "ssh"
    program.write_text(FAKE.format(does))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder / "ssh.words"


def test_what_ssh_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = fake(tmp_path / "bin", monkeypatch, "echo fine")
    assert Connection(Address.parse("ssh://me@board.local:2222")).run("true") == "fine\n"
    said = words.read_text().split("\n")[:-1]
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "PasswordAuthentication=no", "ConnectTimeout=10"):
        assert f"-o{option}" in said
    assert said[-6:] == ["-p", "2222", "-T", "--", "me@board.local", "true"]


def test_a_board_whose_mktemp_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer goes into later commands, so it has to look like what was asked for."""
    fake(tmp_path / "bin", monkeypatch, "echo '/tmp/x; rm -rf /'")
    with pytest.raises(BoardAccessError, match="mktemp printed"), board_folder(Connection(Address("b")), tmp_path):
        pass


def test_an_answer_that_is_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "bin", monkeypatch, "echo hello")
    (tmp_path / "bin" / "scp").write_text("#!/bin/sh\n")
    (tmp_path / "bin" / "scp").chmod(0o755)
    with pytest.raises(BoardAccessError, match="did not print measurements: 'hello"):
        OnBoard(Connection(Address("b")), "/tmp/hetero-tune.abcdefgh", tmp_path, 1.0).measure(signature(), USUAL)


@pytest.mark.parametrize("text", ["ssh://", "board", "ssh://-oProxyCommand=x", "ssh://a@b:0", "ssh://a b", "ssh://a;b"])
def test_no_address(text: str) -> None:
    with pytest.raises(BoardAccessError, match="is no place to measure"):
        Address.parse(text)
