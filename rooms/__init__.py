"""What a live room is: what viewers see. Knows neither orders nor the server."""
