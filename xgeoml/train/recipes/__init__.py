"""One module for each shipped weight: it says how the weight was made."""
