"""
The composition root: what each role of a worker is made of, and with which adapters.

`parts.py` opens what every role uses; `orders.py`, `media.py` and `gateway.py` are the roles.
"""
