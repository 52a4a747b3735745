"""On top of everything: the pipeline as pure steps, the hosts, replay and the command line."""
