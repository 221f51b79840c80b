"""What each route does, one file per area; each ends with its rows of the table."""
