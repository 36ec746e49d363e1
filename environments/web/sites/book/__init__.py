"""The first-party site: an address book with orders and a small catalogue. Plain WSGI over SQLite, no packages."""
