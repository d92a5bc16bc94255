"""The Marketplace's addresses and answers."""

from __future__ import annotations

import json

import pytest

from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.install.hosts import Host
from lingma_cli.install.marketplace import Extension, Listed, read_versions

LINGMA = Extension(publisher="Alibaba-Cloud", name="tongyi-lingma")
TARGETS = ("linux-arm64", "linux-x64")


def answer(*versions: dict[str, object]) -> bytes:
    return json.dumps({"results": [{"extensions": [{"versions": versions}]}]}).encode()


def test_both_forms_of_the_address() -> None:
    """Those of the protocol document, sections 1.2 and 1.3."""
    gallery, extension = "_apis/public/gallery", "tongyi-lingma"
    first, second = LINGMA.package_urls(Listed(version="2.6.10", target=""))

    assert first == (
        f"https://marketplace.visualstudio.com/{gallery}/publishers/Alibaba-Cloud"
        f"/vsextensions/{extension}/2.6.10/vspackage"
    )
    assert second == (
        f"https://alibaba-cloud.gallery.vsassets.io/{gallery}/publisher/Alibaba-Cloud"
        f"/extension/{extension}/2.6.10/assetbyname/Microsoft.VisualStudio.Services.VSIXPackage"
    )


def test_a_build_for_one_platform_is_asked_for_by_name() -> None:
    """In both forms."""
    urls = LINGMA.package_urls(Listed(version="2.6.10", target="linux-x64"))

    assert [url.partition("?")[2] for url in urls] == ["targetPlatform=linux-x64"] * 2


def test_hosts_are_those_of_the_addresses() -> None:
    """And where they lead."""
    assert Host("alibaba-cloud.gallerycdn.vsassets.io") in LINGMA.hosts
    assert {
        Host(url.split("/")[2]) for url in LINGMA.package_urls(Listed(version="1.0", target=""))
    } < (LINGMA.hosts)


@pytest.mark.parametrize(
    ("publisher", "name"),
    [("evil.test/", "x"), ("a.b", "x"), ("", "x"), ("a", "x/../y"), ("-a", "x"), ("a@b", "x")],
)
def test_names_cannot_lead_elsewhere(publisher: str, name: str) -> None:
    """They become part of a host's name and of a path."""
    with pytest.raises(LingmaError) as failure:
        Extension(publisher=publisher, name=name)

    assert failure.value.kind is ErrorKind.USAGE


def test_the_query_names_the_extension() -> None:
    """By its full name, filter 7."""
    query = json.loads(LINGMA.query())

    (criterion,) = query["filters"][0]["criteria"]
    assert criterion == {"filterType": 7, "value": "Alibaba-Cloud.tongyi-lingma"}


def test_versions_come_newest_first() -> None:
    """By number, without previews and without what is no version."""
    preview = [{"key": "Microsoft.VisualStudio.Code.PreRelease", "value": "true"}]
    listing = answer(
        {"version": "2.6.9"},
        {"version": "2.11.1"},
        {"version": "2.12.0", "properties": preview},
        {"version": "../../x"},
        {"version": "2.6.10", "properties": [{"key": "other", "value": "true"}]},
    )

    assert [one.version for one in read_versions(listing, TARGETS)] == ["2.11.1", "2.6.10", "2.6.9"]


def test_the_build_that_fits_best_is_chosen() -> None:
    """One for this very machine, else one it can run, else one for all; others never."""
    listing = answer(
        {"version": "3.0.0", "targetPlatform": "win32-x64"},
        {"version": "2.2.0", "targetPlatform": "linux-x64"},
        {"version": "2.2.0", "targetPlatform": "linux-arm64"},
        {"version": "2.2.0", "targetPlatform": "darwin-x64"},
        {"version": "2.1.0", "targetPlatform": "universal"},
        {"version": "2.1.0", "targetPlatform": "linux-x64"},
        {"version": "2.0.0", "targetPlatform": "undefined"},
    )

    assert read_versions(listing, TARGETS) == (
        Listed(version="2.2.0", target="linux-arm64"),
        Listed(version="2.1.0", target="linux-x64"),
        Listed(version="2.0.0", target=""),
    )


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"results": 3}', b'{"results": [{"extensions": [[]]}]}', b"\xff"],
)
def test_another_answer_is_an_error(body: bytes) -> None:
    """Not a list without versions."""
    with pytest.raises(LingmaError, match="cannot be read"):
        read_versions(body, TARGETS)


def test_an_unknown_extension_has_no_versions() -> None:
    """The answer is in order; it is empty."""
    assert read_versions(b'{"results": [{"extensions": []}]}', TARGETS) == ()
