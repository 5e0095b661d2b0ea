"""What we build on: an audit of the locks, the licences of packages. Not part of any service."""
