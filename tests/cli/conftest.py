"""Tests of the command line run in a folder with two tables."""

import pytest

from fastnn.cli.main import main


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A current folder with homes.csv and prices.csv.gz."""
    from support.homes import homes

    monkeypatch.chdir(tmp_path)
    homes().drop(columns="price").to_csv("homes.csv", index=False)
    homes().drop(columns="kind").to_csv("prices.csv.gz", index=False)
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """Run the command line; return exit status, standard output and standard error."""

    def run(*argv):
        try:
            status = main([str(word) for word in argv])
        except SystemExit as error:  # argparse
            status = error.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
