"""Entry of the demo as a program: `python -m lingma_cli.demo`."""

import json
import os
import sys
from collections.abc import Mapping, Sequence

from lingma_cli.demo import command, packing, server
from lingma_cli.demo.accounts import DEMO, Accounts
from lingma_cli.demo.command import Command, UsageError
from lingma_cli.demo.language import LanguageError
from lingma_cli.demo.switches import Switches, from_environment
from lingma_cli.demo.workdir import WorkDir


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command; returns the exit code (2 for usage and switches that cannot be read)."""
    if arguments[:1] == ["pack"]:
        return packing.run(arguments[1:])
    try:
        switches = from_environment(environment)
    except LanguageError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    bare = switches.sides.command == "bare"
    try:
        wanted = command.parse(arguments, bare=bare)
    except UsageError as error:
        sys.stderr.write(f"Error: {error}\n{command.usage(bare=bare)}")
        return 2
    if wanted.name == "start":
        return server.run(wanted.flags, switches, arguments, environment)
    sys.stdout.write(_report(wanted, switches))
    return 0


def _report(wanted: Command, switches: Switches) -> str:
    if wanted.name == "version":
        return f"version: {command.VERSION}\nsimulator: true\n"
    work_dir = WorkDir(wanted.flags.root)
    if wanted.name == "machine-info":
        machine = work_dir.machine(switches.login.machine)
        return f"machine token: {machine.token}\nmachine type: {machine.type}\n"
    logged_in = work_dir.is_logged_in(switches.login)
    status: dict[str, object] = {"logged_in": logged_in, "version": command.VERSION}
    if logged_in:
        record = work_dir.record()
        account = Accounts(switches.account).named(record.user if record else DEMO.user)
        status |= {"username": account.user, "user_type": account.kind}
    return json.dumps(status) + "\n"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], os.environ))
