"""What clients send, one file per area. Unknown fields are refused, so that typing errors show."""
