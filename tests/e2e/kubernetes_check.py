"""Validates rendered manifests against Kubernetes' schemas, and prints them as JSON for the test to look at."""

import json
import sys

import kubernetes_validate
import yaml

# Of the Prometheus operator, whose schemas are not Kubernetes'.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}

documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
for document in documents:
    if document["kind"] not in FOREIGN:
        kubernetes_validate.validate(document, "1.37", strict=True)
json.dump(documents, sys.stdout)
