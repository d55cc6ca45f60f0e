"""Backups of stations and servers: copies of the database and files, where they are kept, and their restoration."""
