"""Checks a model must pass, for models of the package and of other packages."""
