"""The viewer socket: WebSocket connections that speak the Centrifuge client protocol."""
