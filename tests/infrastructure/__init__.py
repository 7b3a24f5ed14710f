"""What is deployed: the template, its alarms and permissions, the artefact, the Makefile and the workflow."""
