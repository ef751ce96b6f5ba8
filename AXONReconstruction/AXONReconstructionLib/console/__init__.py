"""The console API: the logic of the module and the functions behind its methods."""
