"""The SQLite file that keeps what was answered: writer, reader, slots, backup; imports no other room."""
