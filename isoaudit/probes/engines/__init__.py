"""What makes test containers: by system calls alone (`native`)."""
