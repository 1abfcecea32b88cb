"""The command line as a whole: help, examples, exit codes, what errors and warnings look like."""

import re
import shlex
import subprocess
import sys
import warnings

import click
import pytest
from click.testing import CliRunner

from xgeoml import cli
from xgeoml.exceptions import InputError


def commands(group=cli.main, above=("xgeoml",)):
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*above, name))
        else:
            yield " ".join((*above, name)), command


EVERY = dict(commands())
PROGRAM = cli.main.make_context("xgeoml", ["info"])


def examples(command):
    return [
        line.strip() for line in command.help.splitlines() if line.strip().startswith("xgeoml ")
    ]


def run(*arguments):
    return CliRunner().invoke(cli.main, [str(a) for a in arguments])


@pytest.mark.parametrize("name", EVERY)
def test_every_command_has_examples_that_it_takes(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = examples(EVERY[name])
    assert found
    for line in found:
        words = shlex.split(line)[len(name.split()) :]
        assert line.startswith(name)
        for file in re.findall(
            r"(?<![/\w])\w+\.(?:nc|zarr|safetensors)\b", " ".join(words).replace("*", "1")
        ):
            (tmp_path / file).touch()
        EVERY[name].make_context(name, words, parent=PROGRAM)


def test_every_option_of_every_command_has_help():
    for name, command in EVERY.items():
        for option in command.params:
            if isinstance(option, click.Option):
                assert option.help, f"{name} {option.opts[0]}"


def test_the_help_tells_exit_codes_and_completion():
    told = run("--help").output
    for code in ("0    done", "1    the data", "2    wrong usage", "130  interr", "143  termin"):
        assert code in told
    assert "_XGEOML_COMPLETE=bash_source" in told
    done = run("no-such-command")
    assert done.exit_code == 2
    assert "No such command 'no-such-command'" in done.output


@pytest.mark.parametrize("name", ["fill-gaps", "fill_gaps"])
def test_commands_and_options_are_spelled_with_dashes_or_as_in_python(name, tmp_path):
    done = run(name, tmp_path, "--max_gap", 3, "--max-gap", 4, "--out", tmp_path / "full.txt")
    assert "full.txt: expected a name that ends in .nc" in done.output
    done = run("models", "--task", name)
    assert (done.exit_code, "kalman@1.0" in done.output) == (0, True)


def test_the_help_imports_nothing_heavy():
    code = (
        "import sys; from xgeoml import cli\n"
        "try: cli.main(['fill-gaps', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'scipy', 'matplotlib', 'dask.array') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert done.splitlines()[-1] == "[]"


def raising(error):
    def info():
        raise error

    return info


@pytest.fixture
def broken(monkeypatch):
    """Have `xgeoml weights list` raise what is wanted."""

    def arrange(error):
        monkeypatch.setattr("xgeoml.weights.list", raising(error))

    return arrange


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (InputError("a sentence"), 1, "Error: a sentence\n"),
        (KeyboardInterrupt("go on with resume='run'"), 130, "Interrupted. go on with resume='run'"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
    ],
)
def test_errors_in_words(broken, error, code, told):
    broken(error)
    done = run("weights", "list")
    assert done.exit_code == code
    assert told in done.output
    assert "Traceback" not in done.output


def test_where_an_error_is_in_a_tree_is_told(broken):
    error = InputError("a sentence")
    error.add_note("in the group '/a' of the DataTree")
    broken(error)
    assert "a sentence\nin the group '/a'" in run("weights", "list").output


def test_debug_shows_where_an_error_comes_from(broken, tmp_path):
    broken(InputError("a sentence"))
    with pytest.raises(InputError, match="a sentence"):
        CliRunner().invoke(cli.main, ["--debug", "weights", "list"], catch_exceptions=False)
    text = tmp_path / "text.nc"
    text.write_text("no netCDF")
    done = run("info", text)
    assert done.exit_code == 1
    assert f"Error: {text} cannot be opened" in done.output
    with pytest.raises((ValueError, OSError)):
        CliRunner().invoke(cli.main, ["--debug", "info", str(text)], catch_exceptions=False)


def test_an_error_of_the_code_is_not_hidden(broken):
    broken(ZeroDivisionError("a mistake"))
    with pytest.raises(ZeroDivisionError):
        CliRunner().invoke(cli.main, ["weights", "list"], catch_exceptions=False)


def test_warnings_are_told_at_once(monkeypatch):
    def listed():
        warnings.warn("the first", stacklevel=1)
        warnings.warn("the second", stacklevel=1)
        raise InputError("then an error")

    monkeypatch.setattr("xgeoml.weights.list", listed)
    done = run("weights", "list")
    assert done.output.splitlines() == [
        "Warning: the first",
        "Warning: the second",
        "Error: then an error",
    ]
