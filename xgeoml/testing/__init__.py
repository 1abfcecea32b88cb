"""Checks that a model must pass, for models of this package and of others.

>>> from xgeoml.testing import check_model, list_checks
>>> check_model("linear", checks=["no_leak"])
{'no_leak': 'passed'}
"""

from xgeoml.testing.battery import CHECKS, ModelCheckError, check_model, list_checks
from xgeoml.testing.lazy import assert_lazy, raise_if_computes

__all__ = [
    "CHECKS",
    "ModelCheckError",
    "assert_lazy",
    "check_model",
    "list_checks",
    "raise_if_computes",
]
