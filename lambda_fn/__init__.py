"""What runs in AWS Lambda: sales in from EventBridge, one Iceberg row and one projection item each out."""
