"""`backup` and `restore`: the database and the images in a folder."""
