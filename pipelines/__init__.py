"""The pipeline of `make run` and of Kubeflow, built with the package."""
