"""Commands as a user types them, with the tiny model and a home of their own."""

import pytest
from typer.testing import CliRunner

from nestling.cli import app


@pytest.fixture
def run(tiny_bundle, tmp_path, monkeypatch):
    """Run a command, which must end with `code`."""
    monkeypatch.setenv("NESTLING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NESTLING_MODEL", str(tiny_bundle.path))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments, stdin=None, code=0):
        result = CliRunner().invoke(app, arguments, input=stdin)
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return run
