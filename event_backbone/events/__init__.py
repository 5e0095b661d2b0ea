"""The wire types, their JSON and their CloudEvents headers; knows no transport and no store."""
