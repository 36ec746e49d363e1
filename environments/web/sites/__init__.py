"""The sites: applications with seeded content and a golden database."""
