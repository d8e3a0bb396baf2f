"""The Orchestration API v2: workflows, recipes, blobs, services and resources."""
