"""`lingma session`: logins as bundles, out of the vault and into it."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from lingma_cli.cli import output
from lingma_cli.cli.account import announce, report
from lingma_cli.cli.home import Bin, Store, opened_home, prepared
from lingma_cli.cli.moments import date, when
from lingma_cli.cli.options import ConfigFile, Json
from lingma_cli.errors import ErrorKind, LingmaError
from lingma_cli.paths import PRIVATE_FILE

if TYPE_CHECKING:
    from lingma_cli.auth.bundles.sealed import BundleInfo
    from lingma_cli.wiring.session import StoredSession

_DAY: Final = 86_400.0
_DEFAULT_DAYS: Final = 7.0
_MAX_DAYS: Final = 366.0
_LINE: Final = 76

Chosen = Annotated[
    str | None, typer.Argument(metavar="ACCOUNT", help="whose login; default: the active account's")
]
Source = Annotated[
    str, typer.Argument(metavar="FILE", help="a bundle, `-` for one on standard input")
]
Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FILE", help="a new file; default: standard output"),
]
Encrypt = Annotated[bool, typer.Option("--encrypt", help="with a passphrase and an end")]
Plaintext = Annotated[
    bool, typer.Option("--plaintext", help="as it is: whoever reads it is logged in as you")
]
Expires = Annotated[
    float | None,
    typer.Option(
        "--expires",
        metavar="DAYS",
        help="until an encrypted one is refused [default: 7]",
    ),
]
PassphraseFile = Annotated[
    str,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="private file with the bundle's passphrase [env: LINGMA_PASSPHRASE_FILE]",
    ),
]
AccountName = Annotated[
    str,
    typer.Option("--account", metavar="NAME", help="name here; default: the bundle's own"),
]
Replace = Annotated[bool, typer.Option("--replace", help="take the place of a login that is there")]
Verify = Annotated[bool, typer.Option("--verify", help="let an engine try it first")]


def export(
    account: Chosen = None,
    *,
    file: Output = "-",
    encrypt: Encrypt = False,
    plaintext: Plaintext = False,
    expires: Expires = None,
    passphrase_file: PassphraseFile = "",
    store: Store = None,
    config: ConfigFile = None,
) -> None:
    """Write a login as a text that `session import` reads on another machine."""
    is_sealed = _is_sealed(encrypt=encrypt, plaintext=plaintext)
    days = _days(expires, is_sealed=is_sealed)
    settings, paths = prepared(config, {"store": store})
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.auth.bundles.bundle import pack, to_text  # noqa: PLC0415
    from lingma_cli.auth.bundles.sealed import seal  # noqa: PLC0415
    from lingma_cli.wiring.home import stored_bundle  # noqa: PLC0415
    from lingma_cli.wiring.session import bundle_passphrase  # noqa: PLC0415

    chosen = Accounts(paths.accounts_file).choose(account)
    bundle = stored_bundle(opened_home(settings, paths), chosen)
    if is_sealed:
        passphrase = bundle_passphrase(settings, passphrase_file, is_new=True)
        now = time.time()
        end = now + days * _DAY
        sealed = seal(bundle, passphrase, account=chosen.name, created=now, expires=end)
        _write(to_text(sealed, width=_LINE), file)
        output.say(f"exported `{chosen.name}`, encrypted, good until {date(end)}")
    else:
        _write(to_text(pack(bundle)), file)
        output.say(f"exported `{chosen.name}`; whoever has this text is logged in as you")


def import_(
    file: Source,
    *,
    account: AccountName = "",
    replace: Replace = False,
    verify: Verify = False,
    passphrase_file: PassphraseFile = "",
    bin: Bin = None,  # noqa: A002 - the option's name
    store: Store = None,
    config: ConfigFile = None,
) -> None:
    """Take a login that `session export`, or the old gateway, has written."""
    settings, paths = prepared(config, {"bin": bin, "store": store})
    from lingma_cli.auth.accounts import DEFAULT  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.auth.bundles.sealed import decoded, inspect, open_any  # noqa: PLC0415
    from lingma_cli.wiring.account import verified  # noqa: PLC0415
    from lingma_cli.wiring.session import bundle_passphrase, import_session  # noqa: PLC0415

    data, now = decoded(read_bundle(file)), time.time()
    name = account or inspect(data).account or DEFAULT
    bundle = open_any(
        data, passphrase=lambda: bundle_passphrase(settings, passphrase_file), now=now
    )
    home = opened_home(settings, paths)
    stored = import_session(
        home,
        bundle,
        name,
        endpoint=settings.dedicated_domain_url,
        now=now,
        overwrite=replace,
        verify=(lambda taken: verified(taken, settings, paths, os.environ)) if verify else None,
    )
    who = f" of {stored.username}" if stored.username else ""
    announce(f"imported the login{who} as `{name}`", home, name, settings)


def list_(*, json: Json = False, store: Store = None, config: ConfigFile = None) -> None:
    """List the accounts and the logins that the vault holds of them."""
    settings, paths = prepared(config, {"store": store})
    from lingma_cli.auth.accounts import Accounts  # noqa: PLC0415 - not for `--help`, all below
    from lingma_cli.wiring.session import list_sessions  # noqa: PLC0415

    # Without accounts there is no reason to open, or to begin, a vault.
    is_empty = not Accounts(paths.accounts_file).all()
    sessions = [] if is_empty else list_sessions(opened_home(settings, paths))
    if json:
        output.print_json([_listed(session) for session in sessions])
    elif is_empty:
        output.say("there is no account yet; `lingma login` or `lingma session import` makes one")
    else:
        now = time.time()
        rows = [_row(session, now) for session in sessions]
        output.print_columns([("ACCOUNT", "USER", "LOGIN", "BY", "SINCE", "EXPIRES"), *rows])


def inspect(file: Source, *, json: Json = False) -> None:
    """Show what a bundle says of itself; no passphrase is needed, and no secret is shown."""
    from lingma_cli.auth.bundles import sealed  # noqa: PLC0415 - not for `--help`

    now = time.time()
    found = sealed.inspect(sealed.decoded(read_bundle(file)))
    if json:
        output.print_json(_report(found, now))
    else:
        output.print_columns(_facts(found, now))


def _is_sealed(*, encrypt: bool, plaintext: bool) -> bool:
    if encrypt and plaintext:
        raise LingmaError(ErrorKind.USAGE, "`--encrypt` and `--plaintext` exclude each other")
    if encrypt or plaintext:
        return encrypt
    if output.is_terminal(sys.stdin) and output.is_terminal(sys.stderr):
        return typer.confirm("encrypt it with a passphrase?", default=True, err=True)
    raise LingmaError(
        ErrorKind.USAGE,
        "a login is not written as plain text by chance",
        hint="add `--encrypt --passphrase-file FILE`, or `--plaintext`",
    )


def _days(given: float | None, *, is_sealed: bool) -> float:
    if given is None:
        return _DEFAULT_DAYS
    if not is_sealed:
        raise LingmaError(
            ErrorKind.USAGE, "a plain text does not expire", hint="add `--encrypt` to `--expires`"
        )
    if not 0 < given <= _MAX_DAYS:
        raise LingmaError(
            ErrorKind.USAGE, f"`--expires` is no number of days up to {_MAX_DAYS:g}: `{given:g}`"
        )
    return given


def read_bundle(name: str) -> bytes:
    """Return what may be a bundle out of a file, for `-` out of standard input.

    Raises:
        LingmaError: it cannot be read.
    """
    from lingma_cli.auth.bundles.bundle import MAX_TEXT  # noqa: PLC0415 - not for `--help`

    if name == "-":
        return sys.stdin.buffer.read(MAX_TEXT + 1) if sys.stdin else b""
    try:
        with Path(name).expanduser().open("rb") as file:
            return file.read(MAX_TEXT + 1)
    except OSError as error:
        raise LingmaError(ErrorKind.USAGE, f"cannot read `{name}`: {error.strerror}") from error


def _write(text: str, name: str) -> None:
    if name == "-":
        output.print_text(text.rstrip("\n"))
        return
    path = Path(name).expanduser()
    # Any folder will do, even one where others may write: the file is new, or nothing is written.
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(path, flags, PRIVATE_FILE)
    except FileExistsError:
        raise LingmaError(
            ErrorKind.USAGE, f"`{name}` is there already", hint="remove it, or name another file"
        ) from None
    except OSError as error:
        raise _unwritable(name, error) from error
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise _unwritable(name, error) from error


def _unwritable(name: str, error: OSError) -> LingmaError:
    return LingmaError(ErrorKind.USAGE, f"cannot write `{name}`: {error.strerror}")


def _listed(session: StoredSession) -> dict[str, Any]:
    return {**report(session.account), "active": session.is_active, "size": session.size}


def _row(session: StoredSession, now: float) -> tuple[str, ...]:
    account = session.account
    return (
        f"{account.name} *" if session.is_active else account.name,
        account.username or "-",
        "none" if session.size is None else "stored",
        account.method,
        when(max(account.created, account.refreshed), now),
        when(account.expires, now),
    )


def _report(found: BundleInfo, now: float) -> dict[str, Any]:
    return {
        "encrypted": found.is_encrypted,
        "account": found.account or None,
        "created": found.created or None,
        "expires": found.expires or None,
        "expired": bool(found.expires) and now >= found.expires,
        "size": found.size,
    }


def _facts(found: BundleInfo, now: float) -> list[tuple[str, str]]:
    if not found.is_encrypted:
        return [("form", "plain text"), ("size", f"{found.size} bytes"), ("expires", "never")]
    is_over = now >= found.expires
    return [
        ("form", "encrypted"),
        ("account", found.account),
        ("created", when(found.created, now)),
        ("expired" if is_over else "expires", when(found.expires, now)),
        ("size", f"{found.size} bytes"),
    ]
