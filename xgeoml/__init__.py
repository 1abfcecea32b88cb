"""xgeoml: trained networks and classical methods as methods of xarray objects.

``import xgeoml`` gives every DataArray, Dataset and DataTree a ``.geoml``.
"""

from importlib.metadata import version as _version

from xgeoml import accessor as _accessor
from xgeoml import datasets, testing, weights
from xgeoml.exceptions import (
    AxisError,
    DownloadError,
    ExecutionError,
    GeoMLError,
    HashError,
    InputError,
    MissingExtraError,
    ModelNotFoundError,
    OfflineError,
    SpecError,
    TimeAxisError,
    WeightsError,
)
from xgeoml.model import Model, load
from xgeoml.options import get_options, set_options
from xgeoml.registry import get_model, list_models, register_model
from xgeoml.spec import AxisSpec, Channel, ModelSpec, Scale, WeightsRef
from xgeoml.streams import from_stream, to_stream
from xgeoml.tasks.downscale import downscale
from xgeoml.tasks.evaluate import evaluate
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.fit import fit
from xgeoml.tasks.inspect import models_for
from xgeoml.tasks.interp_time import interp_time
from xgeoml.tasks.invert_waveform import invert_waveform
from xgeoml.tasks.plan import plan
from xgeoml.versions import show_versions

__version__ = _version("xgeoml")

__all__ = [
    "AxisError",
    "AxisSpec",
    "Channel",
    "DownloadError",
    "ExecutionError",
    "GeoMLError",
    "HashError",
    "InputError",
    "MissingExtraError",
    "Model",
    "ModelNotFoundError",
    "ModelSpec",
    "OfflineError",
    "Scale",
    "SpecError",
    "TimeAxisError",
    "WeightsError",
    "WeightsRef",
    "__version__",
    "datasets",
    "downscale",
    "evaluate",
    "fill_gaps",
    "fit",
    "from_stream",
    "get_model",
    "get_options",
    "interp_time",
    "invert_waveform",
    "list_models",
    "load",
    "models_for",
    "plan",
    "register_model",
    "set_options",
    "show_versions",
    "testing",
    "to_stream",
    "weights",
]

_accessor.register()
