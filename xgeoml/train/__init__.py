"""Training: hiding patterns, and a recipe for each shipped weight."""
