"""`lingma engine` against the Marketplace, played by an https server on this machine.

The program asks for the real hosts: a proxy leads them here, and the certificates are trusted
through `SSL_CERT_FILE`, as behind a company's proxy.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import Result, run_lingma, terminal
from tests.support.installing import tree
from tests.support.marketplace import (
    ASSETS,
    CDN,
    GALLERY,
    VENDOR,
    HttpsServer,
    Reply,
    Request,
    Shop,
    https_server,
    redirect,
)
from tests.support.packages import EVIL, flipped, good


class World:
    """A home, the Marketplace, and the program between them."""

    def __init__(self, folder: Path, server: HttpsServer, shop: Shop) -> None:
        self.home = folder / "home"
        self.server = server
        self.shop = shop
        self.env = {**server.environment(), "HOME": str(folder / "nobody"), "NO_PROXY": ""}

    def engine(self, *arguments: str, **env: str) -> Result:
        """Run `lingma engine …`."""
        return run_lingma("engine", *arguments, home=self.home, env={**self.env, **env}, timeout=60)

    def installed(self, *arguments: str, **env: str) -> dict[str, Any]:
        """Run a command that must succeed and return what it installed."""
        result = self.engine(*arguments, "--json", **env)
        assert result.code == 0, result.err
        release: dict[str, Any] = json.loads(result.out)
        return release

    def refused(self, *arguments: str, **env: str) -> str:
        """Run a command that must be refused and change nothing; return what it says."""
        before = tree(self.home)
        result = self.engine(*arguments, **env)
        assert (result.code, result.out) == (4, ""), result.err
        assert tree(self.home) == before
        assert "Traceback" not in result.err
        return result.err

    def asked(self) -> list[tuple[str, str]]:
        """Return method and host of each request."""
        return [(request.method, request.host) for request in self.server.requests]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """An empty home and a Marketplace with one version."""
    shop = Shop(packages={"2.6.10": good("2.6.10")})
    with https_server(tmp_path, shop) as server:
        yield World(tmp_path, server, shop)


def test_install_update_rollback(world: World) -> None:
    """From the Marketplace; the older one is kept and works again."""
    first = world.installed("install")
    assert (first["version"], first["source"]) == (
        "2.6.10",
        "Alibaba-Cloud.tongyi-lingma from the Marketplace",
    )
    assert world.asked() == [("POST", GALLERY), ("GET", GALLERY)]

    world.shop.packages |= {"2.6.9": good("2.6.9"), "2.11.1": good("2.11.1", layout="flat")}
    second = world.installed("update")
    assert second["version"] == "2.11.1"
    assert os.access(second["path"], os.X_OK)

    assert world.installed("rollback")["path"] == first["path"]
    assert world.engine("path").out.strip() == first["path"]
    assert world.engine("verify").code == 0
    assert world.installed("update")["path"] == second["path"]


def test_nothing_newer(world: World) -> None:
    """One question, no download."""
    world.installed("install")
    result = world.engine("update")

    assert (result.code, "there is no newer version" in result.err) == (0, True)
    assert world.asked()[-1] == ("POST", GALLERY)


def test_the_second_form_of_the_address(world: World) -> None:
    """When the first one fails."""
    world.shop.broken = 404

    assert world.installed("install")["version"] == "2.6.10"
    assert world.asked()[-1] == ("GET", ASSETS)


def test_the_vendors_own_address(world: World) -> None:
    """By the setting; asked again, it is not downloaded again."""
    source = {"LINGMA_SOURCE_TYPE": "vsix"}
    assert world.installed("install", **source)["version"] == "2.6.10"
    assert world.asked() == [("GET", VENDOR)]

    world.engine("update", **source)
    assert "if-none-match" in world.server.requests[-1].headers
    world.shop.packages["2.7.0"], world.shop.tag = good("2.7.0"), '"two"'
    assert world.installed("update", **source)["version"] == "2.7.0"


def test_another_publisher(world: World) -> None:
    """By the settings; its own hosts are asked."""
    world.shop.broken = 404
    world.engine("install", LINGMA_MARKETPLACE_PUBLISHER="Someone")

    (query, *rest) = world.server.requests
    assert b"Someone.tongyi-lingma" in query.body
    assert "/publishers/Someone/" in rest[0].path


def test_a_mirror_of_ones_own(world: World) -> None:
    """Adds exactly its host and port, without a proxy on this machine."""
    url = world.server.url("/a.vsix")
    assert world.installed("install", "--url", url, HTTPS_PROXY="http://127.0.0.1:1")["version"]

    world.shop.packages["2.7.0"] = good("2.7.0")
    mirror = {"LINGMA_SOURCE_TYPE": "vsix", "LINGMA_VSIX_URL": "https://mirror.test/a.vsix"}
    world.shop.tag = '"two"'
    assert world.installed("update", **mirror)["version"] == "2.7.0"
    world.refused("install", "--url", world.server.url("/to-evil"), "--force")


def test_redirects_to_the_marketplaces_own_hosts(world: World) -> None:
    """Are followed."""

    def answer(request: Request) -> Reply:
        if request.path.endswith("/vspackage"):
            return redirect(f"https://{CDN}/2.6.10/asset")
        return world.shop(request)

    world.server.answer = answer
    assert world.installed("install")["version"] == "2.6.10"
    assert world.asked()[-1] == ("GET", CDN)


@pytest.mark.parametrize(
    "target",
    ["http://{gallery}/a.vsix", "https://evil.test/a.vsix", "https://{gallery}:8443/a.vsix"],
)
def test_redirects_elsewhere(world: World, target: str) -> None:
    """Are not: neither to http, nor to another host or port."""
    world.installed("install")
    world.shop.packages["2.7.0"] = good("2.7.0")
    world.server.answer = lambda request: (
        redirect(target.format(gallery=GALLERY)) if request.method == "GET" else world.shop(request)
    )

    assert "refused" in world.refused("update")
    assert {host for _, host in world.asked()} <= {GALLERY, ASSETS}


@pytest.mark.parametrize("wrap", [False, True])
def test_cuts_at_many_offsets(world: World, wrap: bool) -> None:
    """It goes on each time; the file is right, wrapped or not."""
    world.shop.wrap = wrap
    world.shop.packages = {"2.6.10": good("2.6.10", padding=40_000)}
    world.shop.cuts = [1, 100, 5_000, 1, 12_345, 3]
    plain = Shop(packages=dict(world.shop.packages))
    release = world.installed("install")

    ranges = [one.headers["range"] for one in world.server.requests if "range" in one.headers]
    assert ranges == [f"bytes={at}-" for at in (1, 101, 5101, 5102, 17447, 17450)]
    assert plain.packages == world.shop.packages
    assert len(release["package_sha256"]) == 64


def test_a_broken_download_goes_on_in_the_next_command(world: World) -> None:
    """What has arrived waits; then it is gone."""
    world.shop.packages = {"2.6.10": good("2.6.10", padding=40_000)}
    # The second form of the address breaks off as well.
    world.shop.cuts = [20_000, *[0] * 12]
    result = world.engine("install")
    assert result.code == 4
    assert "goes on where it stopped" in result.err

    world.shop.cuts = []
    world.installed("install")
    assert world.server.requests[-1].headers["range"] == "bytes=20000-"
    assert not (world.home / "data" / "versions" / ".downloads").exists()


@pytest.mark.parametrize("name", ["traversal", "symbolic link", "bomb", "flipped byte", "long"])
def test_evil_packages_change_nothing(world: World, name: str) -> None:
    """Each is refused; the version that works goes on. All cases: `tests/install`."""
    world.shop.packages = {"2.5.0": good("2.5.0")}
    path = world.installed("install")["path"]
    world.shop.packages["2.6.10"] = EVIL[name]()
    world.refused("update")

    assert world.engine("path").out.strip() == path
    assert not (world.home.parent / "outside").exists()


def test_a_short_body(world: World) -> None:
    """That announces more than it brings is never a package."""
    package = good("2.6.10")
    world.server.answer = lambda request: (
        Reply(body=package[:-1], length=len(package))
        if request.method == "GET"
        else world.shop(request)
    )

    assert world.engine("install").code == 4
    assert not (world.home / "data" / "versions" / "state.json").exists()


def test_a_changed_digest(world: World) -> None:
    """Of a known version is refused, until the user says otherwise."""
    world.installed("install")
    world.shop.packages = {"2.6.10": good("2.6.10", padding=1)}

    assert "has changed: it was" in world.refused("install", "--force")
    assert world.installed("install", "--force", "--accept-changed")["version"] == "2.6.10"


def test_a_flipped_byte(world: World) -> None:
    """Anywhere."""
    package = good("2.6.10")
    for place in (0.05, 0.3, 0.5, 0.7, 0.95):
        world.shop.packages = {"2.6.10": flipped(package, place)}
        result = world.engine("install")
        # In what we do not take (names of a time, the vendor's own files) it may pass unnoticed.
        assert result.code in (0, 4)
        if result.code == 0:
            assert world.engine("verify").code == 0
            world.shop.packages = {"2.6.10": package}
            assert "has changed" in world.refused("install", "--force")
            return


def test_a_certificate_that_nobody_vouches_for(world: World) -> None:
    """The hint names what a company's network needs."""
    empty = world.home.parent / "empty.pem"
    empty.write_bytes(b"")
    message = world.refused("install", SSL_CERT_FILE=str(empty))

    assert "not trusted" in message
    assert "SSL_CERT_FILE" in message


def test_a_proxy_that_cannot_be_used(world: World) -> None:
    """Is a sentence."""
    result = world.engine("install", HTTPS_PROXY="socks9://127.0.0.1:1")

    assert result.code == 2
    assert "proxy" in result.err


def test_progress_is_drawn_for_a_person(world: World) -> None:
    """With speed and what is left; nobody else gets a single control character."""
    world.shop.packages = {"2.6.10": good("2.6.10", padding=3_000_000)}
    with terminal("engine", "install", home=world.home, env=world.env) as screen:
        assert screen.wait(60) == 0
    drawn = screen.raw.decode()
    assert "MB/s" in drawn or "kB/s" in drawn or "bytes/s" in drawn
    assert "3.0 MB" in drawn

    world.shop.packages = {"2.7.0": good("2.7.0", padding=3_000_000)}
    result = world.engine("update")
    assert "\x1b" not in result.err + result.out
