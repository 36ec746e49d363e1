"""What needs the datasets library is collected where that is: scripts/ci_ray.sh makes such a place."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("datasets") else ["test_datasets.py"]
