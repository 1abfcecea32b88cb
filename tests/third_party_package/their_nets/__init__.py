"""Networks that know nothing of xarray, and nothing of xgeoml but their spec."""
