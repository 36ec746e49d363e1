"""Makes tasks out of packages: plants bugs, keeps those that tests notice, writes issues. Needs the extra ``swe``."""
