"""Load, benchmarks and faults: a stranger at the door that speaks only the public protocol."""
