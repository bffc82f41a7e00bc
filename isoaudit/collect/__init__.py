"""The only code that opens files: it turns what the kernel says into facts, and has no opinion of them."""
