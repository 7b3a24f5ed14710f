"""How the function talks to DynamoDB, SQS and S3 through the AWS SDK."""
