"""What a sale is: what money depends on. Knows neither rooms nor the server."""
