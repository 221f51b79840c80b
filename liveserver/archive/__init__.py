"""What was shown and said during each show, kept for replay, reports and exports."""
