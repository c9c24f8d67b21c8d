"""Pictures of traces: PNG and SVG by matplotlib, an animated GIF, and a page that plays a generation."""
