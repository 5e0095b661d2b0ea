"""Every number the README quotes, one command each."""
