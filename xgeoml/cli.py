"""The command ``xgeoml``."""

from __future__ import annotations

import click

from xgeoml.cli_evaluate import evaluate
from xgeoml.cli_fit import fit
from xgeoml.cli_look import demo, info, models
from xgeoml.cli_program import Program
from xgeoml.cli_tasks import downscale, fill_gaps, interp_time, invert_waveform
from xgeoml.cli_weights import weights_group


def _with_dashes(name: str) -> str:
    return name.replace("_", "-")


# Names of tasks and options may be spelled as in Python.
@click.group(cls=Program, context_settings={"token_normalize_func": _with_dashes})
@click.version_option(package_name="xgeoml", prog_name="xgeoml")
@click.option("--debug", is_flag=True, help="Show where in the code an error comes from.")
def main(debug: bool) -> None:
    """Trained networks and classical methods for gridded data and seismograms.

    Files are netCDF, zarr folders, or zarr in a zip file, with groups or without. They are read and
    written chunk by chunk, so that they may be larger than memory. A result gets its name when it
    is complete; until then, and for good where the process is killed, it is called
    NAME.unfinished-PID. Nothing is replaced without --overwrite.

    \b
    Examples:
      xgeoml info tws.nc
      xgeoml fill-gaps tws.nc --out full.nc
      xgeoml evaluate fill-gaps tws.nc
      xgeoml --debug fill-gaps tws.nc --out full.nc

    \b
    Exit codes:
      0    done
      1    the data, a model or a file cannot be used as asked; the message says why
      2    wrong usage
      130  interrupted (Ctrl+C)
      143  terminated (SIGTERM)

    \b
    Completion of commands and options with the tab key, in bash (zsh and fish likewise):
      eval "$(_XGEOML_COMPLETE=bash_source xgeoml)"
    """


for command in (
    info,
    fill_gaps,
    downscale,
    interp_time,
    invert_waveform,
    fit,
    evaluate,
    models,
    weights_group,
    demo,
):
    main.add_command(command)
