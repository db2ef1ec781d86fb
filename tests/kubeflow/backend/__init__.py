"""Kubeflow's own driver and launcher on one machine, with what a cluster gives them."""
