"""PostgreSQL and Valkey as child processes on a data directory: nothing to install, nothing to administer."""
