"""Live video: WHIP in, WHEP out, packets forwarded untouched. A process of its own."""
