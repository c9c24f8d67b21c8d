"""What every room writes with: files that are whole or not there, Markdown tables, the look of pictures."""
