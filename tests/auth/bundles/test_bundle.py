"""The bundle of a login: packed and unpacked, and whatever a stranger may send instead."""

from __future__ import annotations

import base64
import gzip
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lingma_cli.auth.bundles.bundle import (
    MAX_PACKED,
    MAX_TEXT,
    NAMES,
    Bundle,
    from_text,
    pack,
    to_text,
    unpack,
)
from lingma_cli.errors import ErrorKind, LingmaError
from tests.support import strategies
from tests.support.evil_bundles import (
    END,
    GNU,
    GOOD,
    ID,
    MIB,
    USER,
    entry,
    evil_archives,
    evil_bundles,
    packed,
    pax,
)

EVIL = [pytest.param(make, id=case) for case, make in evil_archives()]
ID_TEXT = b"0f8fad5b-d9cb-469f-a165-70867728950e"

del strategies  # imported for its settings

contents = st.binary(min_size=1, max_size=600).filter(lambda content: bool(content.strip()))
bundles = st.builds(
    lambda required, rest: Bundle(files={**required, **rest}),
    st.fixed_dictionaries({"id": contents, "user": contents}),
    st.fixed_dictionaries({}, optional={"quota": st.binary(), "config.json": st.binary()}),
)


@given(bundles)
@example(Bundle(files={"id": b"i", "user": b"u", "quota": b"", "config.json": bytes(MIB)}))
def test_what_is_packed_is_unpacked(bundle: Bundle) -> None:
    """Every bundle survives, as bytes and as text, however well it compresses."""
    assert unpack(from_text(to_text(pack(bundle)))) == bundle


def test_equal_bundles_give_equal_bytes() -> None:
    """Neither the order of the files nor the time shows."""
    one = Bundle(files={"id": b"i", "user": b"u", "quota": b"q", "config.json": b"{}"})
    other = Bundle(files={name: one.files[name] for name in reversed(NAMES)})

    assert pack(one) == pack(other)
    assert list(other.files) == list(NAMES)


def test_tar_reads_what_is_packed() -> None:
    """The old gateway, or a person with `tar`, can use it."""
    bundle = Bundle(files={"id": b"i", "user": b"u", "config.json": b"{}"})

    with tarfile.open(fileobj=io.BytesIO(pack(bundle)), mode="r:gz") as archive:
        members = {member.name: (member.mode, member.type) for member in archive}

    assert members == dict.fromkeys(
        ["cache/id", "cache/user", "cache/config.json"], (0o600, tarfile.REGTYPE)
    )


def test_the_largest_bundle_fits() -> None:
    """What `Bundle` lets in, compressible or not, comes through the caps of the reader."""
    room = MAX_PACKED - 16 * 1024 - 2
    bundle = Bundle(files={"id": b"i", "user": b"u", "quota": os.urandom(room)})

    data = pack(bundle)

    assert unpack(data) == bundle
    assert len(data) <= MAX_PACKED
    assert len(to_text(data, width=76)) <= MAX_TEXT


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"id": b"i"},
        {"user": b"u"},
        {"id": b"", "user": b"u"},
        {"id": b"i", "user": b" \n"},
        {"id": b"i", "user": b"u", "../x": b""},
        {"id": b"i", "user": b"u", "machine_token.json": b""},
        {"id": b"i", "user": b"u", "quota": bytes(4 * MIB)},
    ],
)
def test_what_is_no_login_is_no_bundle(files: dict[str, bytes]) -> None:
    """Two files are needed, four are known, and together they are small."""
    with pytest.raises(LingmaError):
        Bundle(files=files)


def test_a_bundle_does_not_show_itself() -> None:
    """A log line or a traceback with it holds no login."""
    bundle = Bundle(files={"id": b"canary-1", "user": b"canary-2"})

    assert repr(bundle) == str(bundle) == "Bundle(••••)"


def _old(**options: int) -> bytes:
    """Pack from files as the old gateway did: by name, with the times of the disk."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", **options) as archive:  # type: ignore[call-overload]
        for name, content in {"id": ID_TEXT, "user": b"dXNlcg==", "quota": b"cQ=="}.items():
            member = tarfile.TarInfo(f"cache/{name}")
            member.size, member.mtime, member.uname = len(content), 1_700_000_000.25, "用户"
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_old_bundles_are_read(form: int) -> None:
    """Whatever dialect of tar wrote them, with times and owners in pax records."""
    bundle = unpack(from_text(base64.b64encode(_old(format=form))))

    assert bundle.files == {"id": ID_TEXT, "user": b"dXNlcg==", "quota": b"cQ=="}


@pytest.mark.parametrize("form", ["ustar", "gnu", "pax", "v7"])
def test_what_the_system_packs_is_read(tmp_path: Path, form: str) -> None:
    """Somebody with a shell makes the same."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "id").write_bytes(ID_TEXT)
    (tmp_path / "cache" / "user").write_bytes(b"dXNlcg==")
    made = subprocess.run(
        ["tar", f"--format={form}", "-czf", "-", "-C", tmp_path, "cache/id", "cache/user"],
        capture_output=True,
        check=True,
    )

    assert unpack(made.stdout).files == {"id": ID_TEXT, "user": b"dXNlcg=="}


@pytest.mark.parametrize(
    "data",
    [
        packed(GOOD),
        packed(GOOD, end=bytes(512)),
        packed(GOOD, end=bytes(20 * 512)),
        packed(pax(b"mtime=1.5", b"uname=x"), GOOD),
        packed(ID, entry(b"cache/user", b"dQ==", kind=b"\0")),
        packed(USER, entry(b"cache/id", b"i", magic=GNU, prefix=b"14567")),
    ],
    ids=["plain", "short end", "long end", "times and owner", "old kind", "GNU times"],
)
def test_honest_oddities_are_read(data: bytes) -> None:
    """The evils below are refused for what is evil in them."""
    assert set(unpack(data).files) == {"id", "user"}


@pytest.mark.parametrize("make", EVIL)
def test_evil_is_refused(make: Callable[[], bytes]) -> None:
    """With one of our errors, which quotes nothing of it."""
    with pytest.raises(LingmaError) as caught:
        unpack(make())

    assert caught.value.kind is ErrorKind.USAGE
    assert caught.value.hint
    assert "evil" not in caught.value.advice


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("gzip name of 5 MiB", "larger than 4 MiB"),
        ("more than 4 MiB packed", "larger than 4 MiB"),
        ("more than 4 MiB unpacked", "inflates to more than 4 MiB"),
        ("small bomb", "hundredfold"),
        ("seventeen members", "more than 16 members"),
        ("pax header of 5 KiB", "too long"),
        ("size past the end", "cut off"),
        ("half a header", "cut off"),
        ("cut off", "cut off"),
        ("wrong checksum", "was changed"),
        ("flipped checksum", "was changed"),
        ("size in base 256", "malformed"),
        ("pax path", "more than times and owners"),
        ("kind: fifo", "else than a plain file"),
        ("name: parent", "another name"),
        ("same file twice", "same file twice"),
        ("two gzip members", "something follows"),
        ("something behind the end", "something follows"),
        ("no user", "`user` is missing"),
    ],
)
def test_evil_is_refused_for_its_reason(case: str, reason: str) -> None:
    """The caps strike where they should, not some later check by luck."""
    with pytest.raises(LingmaError, match=reason):
        unpack(dict(evil_archives())[case]())


def test_there_are_enough_evils() -> None:
    """Each has a name of its own."""
    names = [case for case, _ in evil_bundles()]

    assert len(set(names)) == len(names) >= 60


_MEASURE = """
import resource, sys
from pathlib import Path
from lingma_cli.auth.bundles.bundle import MAX_TEXT
from lingma_cli.auth.bundles.sealed import open_any
from lingma_cli.errors import LingmaError
from lingma_cli.secret import Secret

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    with path.open("rb") as file:
        data = file.read(MAX_TEXT + 1)
    try:
        open_any(data, passphrase=lambda: sys.exit("asked"), now=100.0)
    except LingmaError:
        continue
    sys.exit(f"taken: {path}")
print(peak() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts kilobytes as Linux does")
def test_evil_takes_little_memory(tmp_path: Path) -> None:
    """All of them one after the other: refused, no passphrase asked, and less than 32 MiB more."""
    for number, (_, make) in enumerate(evil_bundles()):
        (tmp_path / f"{number:03}").write_bytes(make())

    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path)], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) < 32


entries = st.builds(
    entry,
    st.sampled_from([b"cache/id", b"cache/user", b"cache/quota", b"../x", b"cache"])
    | st.binary(max_size=100),
    st.binary(max_size=700),
    kind=st.sampled_from([b"0", b"\0", b"1", b"2", b"5", b"x", b"g", b"L", b"S"]),
    link=st.sampled_from([b"", b"/etc/passwd"]),
    prefix=st.sampled_from([b"", b".."]),
    size=st.none() | st.binary(min_size=12, max_size=12),
    magic=st.sampled_from([b"ustar\x0000", GNU, b""]),
)
archives = st.lists(entries, max_size=6).map(lambda members: packed(GOOD, *members))
damages = st.builds(
    lambda data, at, value: data[: at % len(data)] + bytes([value]) + data[at % len(data) + 1 :],
    archives | st.just(packed(GOOD)),
    st.integers(0, 10_000),
    st.integers(0, 255),
)
tars = st.binary(max_size=3000).map(lambda content: gzip.compress(content + END, mtime=0))


@given(archives | damages | tars | st.binary(max_size=200))
def test_anything_is_a_bundle_or_refused(data: bytes) -> None:
    """No other exception, and whatever comes through holds the four names only."""
    try:
        bundle = unpack(data)
    except LingmaError:
        return
    assert set(bundle.files) <= set(NAMES)
    assert unpack(pack(bundle)) == bundle


@pytest.mark.parametrize("text", ["a", "ab=c", "äöü=", "AA\x00A", "QUJD!", "=", "QQ"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    """Strictly: what a decoder would skip may be the sign of a damage."""
    with pytest.raises(LingmaError, match="no base64"):
        from_text(text)


@given(st.binary(max_size=300), st.integers(0, 80))
def test_text_comes_back_whatever_its_lines(data: bytes, width: int) -> None:
    """One line or many, Windows' line ends too."""
    text = to_text(data, width=width)

    assert from_text(text.replace("\n", "\r\n")) == data
    assert all(len(line) <= width for line in text.splitlines()) or not width
