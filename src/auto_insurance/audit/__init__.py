"""What people and keys did: a row in the transaction of every write, chained by hash so that no change stays hidden."""
