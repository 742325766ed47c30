"""`darkroom doctor`: checks the dependencies in the way Darkroom uses them. One module per dependency."""
