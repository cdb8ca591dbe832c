"""What runs on a server: prefect.yaml, and base job templates for work pools of containers. Data; no code."""
