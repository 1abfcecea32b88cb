"""Python as what is typed on the command line: calls as commands, keywords as options.

Options have the names of the keywords in Python, with dashes. By that rule and the options that a
command has, ``.geoml.downscale(factor=4)`` is ``xgeoml downscale FILE --factor 4 --out fine.nc``.
"""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import click

# Where `click.Context.meta` holds the files as they were typed.
TYPED: Final = "xgeoml.typed"
# More files than these are not typed one by one.
_FILES = 3
# What a result is called in a command that is told.
_OUT: Final[Mapping[str, str]] = {
    "fill_gaps": "filled.nc",
    "downscale": "fine.nc",
    "interp_time": "between.nc",
    "invert_waveform": "source.nc",
    "fit": "own.safetensors",
}
# Functions that are called otherwise than their command, and names of what a command has written.
_NAMES: Final[Mapping[str, str]] = {"list_models": "models"}
_WRITTEN: Final[Mapping[str, str]] = {"own": _OUT["fit"]}
_CALL = re.compile(r"(?:\b\w+ = )?(?:\b\w[\w.]*)?(?:\[[^\]\s]*\])?[\w.]*\w\(")
_KEYWORD = re.compile(
    r"""\b([a-z_]+)=                                                      # the keyword
    ('[^']*'|"[^"]*"|\[[^]]*\]|\{[^}]*\}|\.\.\.|-?[\d.]*\d|[a-zA-Z_]\w*)?  # a value, or none
    (?=[\s,;:)]|\.\s|\.?$)""",
    re.VERBOSE,
)
# An object of Python, which the command line has not.
_OBJECT = re.compile(r"\b(?:obj|ds)(?:\.|\[| = )")


class _Call(NamedTuple):
    """A call of the package: names of the function, group of a DataTree, keywords and values."""

    path: list[str]
    group: str
    values: dict[str, ast.expr]
    on_data: bool


def typed_files(ctx: click.Context) -> list[str]:
    """Return the files as the user typed them, or what stands for them."""
    words: list[str] = ctx.meta.get(TYPED, [])
    if len(words) > _FILES:
        return ["DATA..."]
    return words or ["FILE"]


def as_command(call: str, program: click.Group, files: Sequence[str]) -> str | None:
    """Return a call of the package as a command, or None if there is no such command.

    Parameters
    ----------
    call : str
        Such as ``.geoml.fill_gaps(variables="tws")``.
    program : click.Group
        With all commands.
    files : sequence of str
        That the object of the call was read from.
    """
    read = _read(call)
    if read is None:
        return None
    command: click.Command | None = program
    for name in read.path:
        command = command.commands.get(name) if isinstance(command, click.Group) else None
    if command is None or isinstance(command, click.Group):
        return None
    words = _words(command, read, files)
    return None if words is None else shlex.join(["xgeoml", *read.path, *words])


def in_words(
    text: str, program: click.Group, command: click.Command | None, files: Sequence[str]
) -> str:
    """Return what a message says, with commands and options in the place of Python.

    Parameters
    ----------
    text : str
    program : click.Group
    command : click.Command, optional
        The one that was typed: keywords that are none of its options stay.
    files : sequence of str
    """
    options = partial(_with_options, command=command)
    made, last = "", 0
    for start, end in _calls_in(text):
        call = text[start:end]
        made += options(text[last:start]) + (as_command(call, program, files) or call)
        last = end
    made += options(text[last:])
    if _OBJECT.search(made):
        made += (
            f"\nIn Python obj is xarray.open_dataset({files[0]!r}); write what you make of it, "
            "obj.to_netcdf('mended.nc'), and give that file"
        )
    return made


def _calls_in(text: str) -> Iterator[tuple[int, int]]:
    """Yield where calls in Python begin and end."""
    last = 0
    for found in _CALL.finditer(text):
        if found.start() < last:
            continue  # inside another
        for bracket in re.finditer(r"\)", text[found.end() :]):
            last = found.end() + bracket.end()
            if _parsed(text[found.start() : last]) is not None:
                yield found.start(), last
                break


def _parsed(text: str) -> ast.Call | None:
    """Return a call, which may begin with ``.geoml`` and be given a name."""
    try:
        (line,) = ast.parse(f"obj{text}" if text.startswith((".", "[")) else text).body
    except (SyntaxError, ValueError):
        return None
    value = line.value if isinstance(line, (ast.Expr, ast.Assign)) else None
    return value if isinstance(value, ast.Call) else None


def _read(text: str) -> _Call | None:
    """Return what a call says, or None if it is none of the package."""
    call = _parsed(text)
    if call is None:
        return None
    names: list[str] = []
    owner = call.func
    while isinstance(owner, ast.Attribute):
        names.insert(0, owner.attr)
        owner = owner.value
    group = ""
    if isinstance(owner, ast.Subscript) and isinstance(owner.slice, ast.Constant):
        group = str(owner.slice.value)
    on_data = len(names) == 2 and names[0] == "geoml"
    if on_data:
        del names[0]
    elif not (isinstance(owner, ast.Name) and owner.id == "xgeoml"):
        return None
    function = _function(names)
    if function is None:
        return None
    parameters = list(inspect.signature(function).parameters)[on_data:]
    values = dict(zip(parameters, call.args, strict=False))
    values |= {k.arg: k.value for k in call.keywords if k.arg is not None}
    path = [_NAMES.get(name, name).replace("_", "-") for name in names]
    return _Call(path, group, values, on_data)


def _function(names: Sequence[str]) -> Callable[..., Any] | None:
    """Return a public function of the package."""
    import xgeoml

    found: Any = xgeoml
    for name in names:
        found = getattr(found, name, None)
    return found if callable(found) else None


def _words(command: click.Command, call: _Call, files: Sequence[str]) -> list[str] | None:
    """Return arguments and options of a command, or None if it lacks an option."""
    values = dict(call.values)
    words: list[str] = []
    for argument in command.params:
        if not isinstance(argument, click.Argument):
            continue
        name = str(argument.name)
        if name == "data":
            words += files if call.on_data else []
        elif name in values:
            words += _texts(values.pop(name), argument)
        elif argument.required:
            words.append(name.upper())
    words += ["--group", call.group] if call.group else []
    for name, value in values.items():
        option = _option(command, name)
        if option is None:
            return None
        words += _option_words(option, value)
    out = _OUT.get(call.path[-1].replace("-", "_"))
    return words if out is None else [*words, "--out", out]


def _option(command: click.Command, keyword: str) -> click.Option | None:
    """Return the option that a keyword is on the command line.

    One that is repeated for several values has the name of one of them; a flag may say no.
    """
    options = {o.name: o for o in command.params if isinstance(o, click.Option)}
    for name in (keyword, keyword.removesuffix("s"), f"no_{keyword}"):
        if name in options:
            return options[name]
    return None


def _option_words(option: click.Option, value: ast.expr | None) -> list[str]:
    """Return an option and what it is given; the option alone where there is no value."""
    if value is None:
        return [option.opts[0]]
    if not option.is_flag:
        return [option.opts[0], *_texts(value, option)]
    wanted = isinstance(value, ast.Constant) and bool(value.value)
    if str(option.name).startswith("no_"):
        wanted = not wanted
    return [option.opts[0]] if wanted else option.secondary_opts[:1]


def _texts(value: ast.expr, taker: click.Parameter) -> list[str]:
    """Return a value of Python as it is typed; what has no value yet by what stands for it."""
    try:
        found = ast.literal_eval(value)
    except ValueError:
        name = value.id if isinstance(value, ast.Name) else ""
        return [_WRITTEN.get(name, _stand_in(taker))]
    return list(_said(found, taker))


def _said(found: Any, taker: click.Parameter) -> Iterator[str]:
    if isinstance(found, dict):
        yield from (f"{k}={'...' if v is ... else v}" for k, v in found.items())
    elif isinstance(found, (list, tuple)):
        for each in found:
            yield from _said(each, taker)
    elif found is ...:
        yield _stand_in(taker)
    elif found is False:
        yield "no"
    else:
        is_choice = isinstance(taker.type, click.Choice)
        yield str(found).replace("_", "-") if is_choice else str(found)


def _stand_in(taker: click.Parameter) -> str:
    return taker.metavar or "..."


def _with_options(text: str, command: click.Command | None) -> str:
    """Return a text without calls, with options in the place of keywords."""

    def option(found: re.Match[str]) -> str:
        known = None if command is None else _option(command, found[1])
        if known is None:
            return found[0]
        value = None if found[2] is None else ast.parse(found[2], mode="eval").body
        return shlex.join(_option_words(known, value))

    return _KEYWORD.sub(option, text)
