"""Packages that come over https from this machine. The Marketplace is played in `tests/e2e`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.fetch import Fetcher, FetchLimits
from lingma_cli.install.hosts import host_of
from lingma_cli.install.installer import Wish
from lingma_cli.install.sources import AddressSource
from tests.support.installing import Home
from tests.support.marketplace import HttpsServer, Shop, https_server
from tests.support.packages import EVIL, good


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsServer]:
    """One server for all; each test sets its answer."""
    with https_server(tmp_path_factory.mktemp("server"), Shop()) as one:
        yield one


@pytest.fixture
def source(server: HttpsServer) -> AddressSource:
    """One address on it, with a login in its query."""
    url = server.url("/latest.vsix?token=hush")
    server.requests.clear()
    return AddressSource(
        url,
        Fetcher(
            hosts={host_of(url)},
            tls=server.trust,
            pause=lambda _seconds: None,
            limits=FetchLimits(size=16 * 1024 * 1024),
        ),
    )


@pytest.mark.parametrize("name", EVIL)
def test_evil_packages_change_nothing(
    server: HttpsServer, source: AddressSource, tmp_path: Path, name: str
) -> None:
    """Downloaded, refused, forgotten; in an empty home and beside a version that works."""
    home = Home(tmp_path / "home", source=source)
    evil = EVIL[name]()
    for working in (None, good("2.5.0")):
        if working is not None:
            server.answer = Shop(packages={"2.5.0": working})
            home.installer.install(Wish(from_source=True))
        server.answer = Shop(packages={"2.6.10": evil}, tag='"two"')
        before = home.tree()
        for command in (lambda: home.installer.install(Wish(force=True)), home.installer.update):
            with pytest.raises(LingmaError) as failure:
                command()
            assert "hush" not in failure.value.advice
        assert home.tree() == before

    assert home.installer.find() is not None
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("seed", range(8))
def test_cuts_at_any_offset(
    server: HttpsServer, source: AddressSource, tmp_path: Path, seed: int
) -> None:
    """However often it breaks off, the package is right in the end."""
    random = Random(seed)
    package = good("2.6.10", padding=random.randrange(100_000))
    cuts = [random.randrange(1, 20_000) for _ in range(random.randrange(20))]
    server.answer = Shop(packages={"2.6.10": package}, cuts=cuts, wrap=seed % 2 == 1)
    release = Home(tmp_path / "home", source=source).installer.install(Wish())

    assert release.package_sha256 == hashlib.sha256(package).hexdigest()
    assert release.source == server.url("/latest.vsix")


def test_one_address_has_one_version(
    server: HttpsServer, source: AddressSource, tmp_path: Path
) -> None:
    """Whatever it is; its query is sent, but not shown."""
    server.answer = Shop(packages={"2.6.10": b"package"})
    offer = source.offer("")

    def get(tag: str) -> bytes | None:
        download = source.fetch(
            offer, tmp_path / "d", on_progress=lambda _done, _total: None, known_tag=tag
        )
        return download.path.read_bytes() if download else None

    assert (offer.version, source.name) == ("", server.url("/latest.vsix"))
    assert get("") == b"package"
    assert get('"one"') is None
    assert server.requests[0].path.endswith("?token=hush")
    with pytest.raises(LingmaError) as failure:
        source.offer("2.6.9")
    assert failure.value.kind is ErrorKind.USAGE
