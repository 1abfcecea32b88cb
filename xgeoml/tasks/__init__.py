"""The tasks: metadata in, metadata out. Axes, calendars, masks, flags and history live here.

Nothing is imported here: `fill_gaps` and `plan` are modules, and functions of the same names would
hide them.
"""
