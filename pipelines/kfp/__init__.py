"""The pipeline compiled for Kubeflow Pipelines v2 and Vertex AI, and submitted."""
