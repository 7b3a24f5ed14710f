"""The commit queue on DynamoDB: the attempts that wait for a leader, and the leader's lease."""
