"""What needs Ray is collected where Ray is: scripts/ci_ray.sh makes such a place."""

import importlib.util

collect_ignore = [] if importlib.util.find_spec("ray") else ["test_ray.py"]
