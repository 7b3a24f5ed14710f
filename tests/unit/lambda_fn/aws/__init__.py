"""Tests of the SDK clients and the requests to DynamoDB."""
