"""`train-model promote`, `rollback` and `versions`: the registry's side of champions, by hand."""

from __future__ import annotations

import click

from training.commands.options import CASE_OPTION, settings_given

_REASON = click.option("--reason", default="by hand", show_default=True, help="Why; kept with the version.")


@click.command()
@click.argument("version", required=False)
@CASE_OPTION
@_REASON
@click.option("--force", is_flag=True, help="Promote a version that the gate refused, or never saw.")
def promote(version: str | None, case_name: str | None, reason: str, force: bool) -> None:
    """Make VERSION the champion, or the present challenger where no version is given.

    Its bundle is fetched and tried first. A version that the gate refused needs --force.

    \b
    Examples:
      train-model promote
      train-model promote 7 --case housing --reason "prices of June"
      train-model promote 5 --force
    """
    from training.versions.operations import VersionOperations

    operations = VersionOperations.of(settings_given(case_name, None))
    model = operations.promote(version, reason=reason, force=force)
    click.echo(f"champion of {model.name} is version {model.version}; train-model rollback takes it back")


@click.command()
@CASE_OPTION
@_REASON
def rollback(case_name: str | None, reason: str) -> None:
    """Make the champion before the present one the champion again; once more goes one further back.

    \b
    Examples:
      train-model rollback
      train-model rollback --case housing --reason "prices too high in the north"
    """
    from training.versions.operations import VersionOperations

    model = VersionOperations.of(settings_given(case_name, None)).rollback(reason=reason)
    click.echo(f"champion of {model.name} is version {model.version} again")


@click.command()
@CASE_OPTION
def versions(case_name: str | None) -> None:
    """List the registered versions with the gate's decision and numbers, the newest first.

    \b
    Examples:
      train-model versions --case census
    """
    from training.commands.console import open_console
    from training.versions.listing import print_versions
    from training.versions.operations import VersionOperations

    operations = VersionOperations.of(settings_given(case_name, None))
    print_versions(operations.case, operations.versions(), open_console())
