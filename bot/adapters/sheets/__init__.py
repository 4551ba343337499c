"""Google Sheets: the curators' board."""
