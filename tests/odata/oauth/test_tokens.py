"""The token file: no token is lost, even with several readers and writers."""

from __future__ import annotations

import errno
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import msgspec
import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.oauth.tokens import FileTokenStore, Token, fingerprint


def no_room(*_: object) -> NoReturn:
    raise OSError(errno.ENOSPC, "No space left on device")


FIRST, SECOND = Token("access-1", "refresh-1", 10.0), Token("access-2", "refresh-2", 20.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens" / "file.json"


def store(file: FileTokenStore, token: Token) -> None:
    with file.updating() as update:
        update.store(token)


@given(st.floats(1, 1e6), st.floats(0, 2e9))
def test_a_token_is_renewed_two_minutes_or_half_its_life_before_its_end(
    life: float, now: float
) -> None:
    token = Token.of({"access_token": "a", "expires_in": life}, now)
    assert token.renew_at == pytest.approx(now + max(life - 120, life / 2))


@pytest.mark.parametrize("life", [None, "soon", [1], 10**401, "1e400", math.nan, -(10**401), 0])
def test_a_token_of_unknown_life_is_taken_to_live_for_an_hour(life: object) -> None:
    token = Token.of({"access_token": "a", "expires_in": life}, 1000)
    assert token.renew_at == 1000 + 3600 - 120
    assert Token.of({"access_token": "a", "expires_in": "600"}, 1000).renew_at == 1480


def test_what_was_kept_is_read_by_the_next_run(path: Path) -> None:
    store(FileTokenStore(path, "key"), FIRST)
    assert FileTokenStore(path, "key").read() == FIRST
    assert FileTokenStore(path, "other key").read() is None


def test_the_file_is_for_its_owner_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"")
    path.chmod(0o644)
    store(FileTokenStore(path, "key"), FIRST)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in path.parent.iterdir()) in (
        ["file.json"],
        ["file.json", "file.json.lock"],
    )


def test_tenants_share_a_file(path: Path) -> None:
    store(FileTokenStore(path, "A"), FIRST)
    store(FileTokenStore(path, "B"), SECOND)
    assert (FileTokenStore(path, "A").read(), FileTokenStore(path, "B").read()) == (FIRST, SECOND)


def test_the_file_counts_while_the_setting_is_what_it_began_with(path: Path) -> None:
    old, new = fingerprint("refresh token of then"), fingerprint("refresh token of now")
    store(FileTokenStore(path, "key", old), FIRST)
    assert FileTokenStore(path, "key", old).read() == FIRST
    assert FileTokenStore(path, "key", new).read() is None
    assert FileTokenStore(path, "key", None).read() == FIRST, "the setting was taken out"
    store(FileTokenStore(path, "key", None), SECOND)
    assert FileTokenStore(path, "key", old).read() == SECOND, "and put back"
    store(FileTokenStore(path, "key", new), FIRST)
    assert FileTokenStore(path, "key", old).read() is None
    assert b"refresh token of" not in path.read_bytes()


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    store(FileTokenStore(path, "key"), FIRST)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    store(FileTokenStore(link, "key"), SECOND)
    assert link.is_symlink()
    assert FileTokenStore(path, "key").read() == SECOND


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_in_place_of_the_lock_empties_no_other_file(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (victim := tmp_path / "victim").write_text("content")
    path.with_name("file.json.lock").symlink_to(victim)
    with pytest.raises(AcumaticaError, match="cannot be written"):
        store(FileTokenStore(path, "key"), FIRST)
    assert victim.read_text() == "content"


def test_a_failure_leaves_the_file_as_it_was(path: Path) -> None:
    file = FileTokenStore(path, "key")
    store(file, FIRST)
    before = path.read_bytes()
    refused = AcumaticaError("no token")

    def fail() -> None:
        with file.updating():
            raise refused

    with pytest.raises(AcumaticaError, match="no token"):
        fail()
    assert path.read_bytes() == before
    assert not [other for other in path.parent.iterdir() if other.name.startswith(".")]


def test_one_at_a_time_changes_the_file(path: Path) -> None:
    together = threading.Barrier(8)

    def count(_: int) -> None:
        together.wait(10)
        for _ in range(10):
            with FileTokenStore(path, "key").updating() as update:
                number = int(update.token.access_token) if update.token else 0
                update.store(Token(str(number + 1)))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))
    assert FileTokenStore(path, "key").read() == Token("80")


def test_a_run_that_has_the_file_for_ever_is_named(path: Path) -> None:
    path.parent.mkdir()
    with (
        FileLock(f"{path}.lock"),
        pytest.raises(AcumaticaError, match=r"was locked by another run for 0\.01 s"),
        FileTokenStore(path, "key", lock_timeout=0.01).updating(),
    ):
        pass


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"key": 1}', b"\xff\xfe"])
def test_a_file_that_holds_something_else_is_named(path: Path, body: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(body)
    with pytest.raises(AcumaticaError, match="cannot be read") as raised:
        FileTokenStore(path, "key").read()
    assert str(path) in str(raised.value)


def test_a_folder_that_may_not_be_written_is_found_before_a_token_is_spent(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    spent = False
    with (
        pytest.raises(AcumaticaError, match="cannot be written"),
        FileTokenStore(tmp_path / "file" / "tokens.json", "key").updating(),
    ):
        spent = True
    assert not spent


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_folder_in_which_nothing_can_be_made_is_not_taken_for_one_that_is_locked() -> None:
    with (
        pytest.raises(AcumaticaError, match="cannot be written"),
        FileTokenStore(Path("/proc/tokens.json"), "key", lock_timeout=0.5).updating(),
    ):
        pass


def test_what_fails_while_the_file_is_held_is_not_its_fault(path: Path) -> None:
    with (
        pytest.raises(OSError, match="no certificates"),
        FileTokenStore(path, "key").updating(),
    ):
        raise OSError("no certificates")  # noqa: TRY003, EM101


def test_a_disk_without_room_is_found_before_a_token_is_spent(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(FileTokenStore(path, "key"), FIRST)
    spent = False
    # Writing is what fails on a full disk: making a file is not.
    monkeypatch.setattr("os.fsync", no_room)
    with (
        pytest.raises(AcumaticaError, match=r"cannot be written \(No space left on device\)"),
        FileTokenStore(path, "key").updating(),
    ):
        spent = True
    assert not spent
    assert FileTokenStore(path, "key").read() == FIRST


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace"])
def test_what_was_granted_is_kept_where_it_can_be(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    store(FileTokenStore(path, "key"), FIRST)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with (  # noqa: PT012 - the disk fills up in between
        pytest.raises(AcumaticaError, match="move that file") as raised,
        FileTokenStore(path, "key").updating() as update,
        monkeypatch.context() as patch,
    ):
        patch.setattr(failing, no_room)
        update.store(SECOND)
    (kept,) = tmp_path.glob("tap-acumatica-*.json")
    assert str(kept) in str(raised.value)
    assert kept.stat().st_mode & 0o777 == 0o600
    assert FileTokenStore(path, "key").read() == FIRST
    assert FileTokenStore(kept, "key").read() == SECOND


def test_what_killed_runs_left_is_removed(path: Path) -> None:
    store(FileTokenStore(path, "key"), FIRST)
    (path.parent / ".file.json.abcdefgh").write_bytes(b"half a tok")
    (path.parent / ".other.json.abcdefgh").write_bytes(b"of somebody else")
    store(FileTokenStore(path, "key"), SECOND)
    assert not [*path.parent.glob(".file.json.*")]
    assert (path.parent / ".other.json.abcdefgh").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_a_file_that_others_may_read_is_mended_and_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(FileTokenStore(path, "key"), FIRST)
    path.chmod(0o640)
    assert FileTokenStore(path, "key").read() == FIRST
    assert path.stat().st_mode & 0o777 == 0o600
    assert f"The token file {path} could be read by others" in caplog.text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_new_folders_are_for_their_owner_alone(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        store(FileTokenStore(tmp_path / "a" / "b" / "tokens.json", "key"), FIRST)
    finally:
        os.umask(before)
    modes = {folder.stat().st_mode & 0o777 for folder in (tmp_path / "a", tmp_path / "a" / "b")}
    assert modes == {0o700}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_in_place_of_the_file_is_named(path: Path) -> None:
    path.parent.mkdir()
    os.mkfifo(path)
    with pytest.raises(AcumaticaError, match=r"cannot be read \(it is no regular file\)"):
        FileTokenStore(path, "key").read()


def test_the_file_can_be_read_by_people(path: Path) -> None:
    store(FileTokenStore(path, "https://erp guid@company", fingerprint("x")), FIRST)
    content = msgspec.json.decode(path.read_bytes())
    assert content["https://erp guid@company"]["token"]["refresh_token"] == "refresh-1"
