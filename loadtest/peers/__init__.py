"""Servers of other makes that do the same: the fan-out is compared with them."""
