"""What first-party sites are made of: requests and pages over SQLite, HTML from values, people of a world."""
