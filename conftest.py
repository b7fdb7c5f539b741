# Tests are found all over the tree, so their plug-in is named at its root.
pytest_plugins = ['weirtest.plugin']
