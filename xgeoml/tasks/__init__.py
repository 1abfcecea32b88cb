"""The tasks: metadata in, metadata out. Axes, calendars, masks, flags and history live here."""

from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.inspect import axes_of, models_for
from xgeoml.tasks.plan import TaskPlan, plan

__all__ = ["TaskPlan", "axes_of", "fill_gaps", "models_for", "plan"]
