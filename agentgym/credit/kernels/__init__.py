"""Pure functions on flat arrays, one idea a file. They know neither `Batch` nor configuration."""
