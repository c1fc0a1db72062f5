"""The files that a corpus is made of: where they are, how they come here, and the documents in them."""
