"""A schema as a picture: layers, places, routes, SVG and PNG."""
