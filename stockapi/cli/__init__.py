"""Flask's own command line: `flask db`, `flask data`, `flask status`."""

from flask import Flask

from stockapi.cli import change, data, db, doctor, export, verify
from stockapi.cli.status import show_status


def register(app: Flask) -> None:
    data.commands.add_command(verify.verify_stores)
    data.commands.add_command(change.delete_bars)
    data.commands.add_command(change.rename_ticker)
    data.commands.add_command(doctor.examine_bars)
    data.commands.add_command(export.export_bars)
    for command in (db.commands, data.commands, show_status):
        app.cli.add_command(command)
