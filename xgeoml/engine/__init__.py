"""Geometry: windows, halos, batches, devices. Knows arrays; knows no names and no attributes."""
