"""Programs to read and to copy from; `make example-table` runs one."""
